// Tensors in memory, and those of a module by the ends of their names.
import { rangeError } from "../../lib/check.ts";
import type { NamedFloats } from "../../lib/floats.ts";

/** A tensor of a container. */
export interface StoredTensor {
  /** As the container says it: "F32", "BF16", "Q4_K", … */
  readonly dtype: string;
  /** Rows first: [rows, cols], [experts, rows, cols]. */
  readonly shape: readonly number[];
  /** The bytes as stored, at any alignment. */
  readonly data: Uint8Array;
}

export type TensorOf = (name: string) => StoredTensor | undefined;

const FLOATS: Readonly<Record<string, NamedFloats["dtype"]>> = { F32: "float32", F16: "float16", BF16: "bfloat16" };

/** Whether a tensor is of numbers that no method has to explain. */
export const isFloat = (dtype: string): boolean => Object.hasOwn(FLOATS, dtype);

/** The tensors of a module. Every error names the tensor. */
export class Module {
  readonly name: string;
  readonly #of: TensorOf;

  constructor(name: string, of: TensorOf) {
    this.name = name;
    this.#of = of;
  }

  /** The name of a tensor: parts that begin with "_" follow the module's without a point. */
  full(part: string): string {
    return part.startsWith("_") ? this.name + part : `${this.name}.${part}`;
  }

  has(part: string): boolean {
    return this.#of(this.full(part)) !== undefined;
  }

  peek(part: string): StoredTensor | undefined {
    return this.#of(this.full(part));
  }

  /** @param rank how many dimensions there are; undefined: any */
  need(part: string, dtypes: readonly string[], rank?: number): StoredTensor {
    const tensor = this.peek(part);
    if (tensor === undefined) throw rangeError(`checkpoint: ${this.full(part)}`, "a tensor of this name", "none");
    const { dtype, shape } = tensor;
    if (!dtypes.includes(dtype)) throw rangeError(`checkpoint: ${this.full(part)}`, dtypes.join(" or "), dtype);
    if (rank !== undefined && shape.length !== rank) {
      throw rangeError(`checkpoint: ${this.full(part)}`, `${rank} dimensions`, `shape [${shape.join(", ")}]`);
    }
    return tensor;
  }

  /** A matrix [rows, cols], and both. */
  matrix(part: string, dtypes: readonly string[]): StoredTensor & { readonly rows: number; readonly cols: number } {
    const tensor = this.need(part, dtypes, 2);
    const [rows, cols] = tensor.shape as [number, number];
    return { ...tensor, rows, cols };
  }

  /** Checks a shape; -1: any size. */
  shaped(part: string, dtypes: readonly string[], ...shape: readonly number[]): StoredTensor {
    const tensor = this.need(part, dtypes, shape.length);
    if (tensor.shape.some((size, i) => shape[i] !== -1 && shape[i] !== size)) {
      const got = `[${tensor.shape.join(", ")}]`;
      throw rangeError(
        `checkpoint: ${this.full(part)}`,
        `shape [${shape.map((n) => (n < 0 ? "?" : n)).join(", ")}]`,
        got,
      );
    }
    return tensor;
  }

  /** One number, of a tensor of no dimension or one of one. */
  scalar(part: string): number {
    const { dtype, data } = this.need(part, ["I32", "I64", "U8", "BOOL"]);
    const size = dtype === "I64" ? 8 : dtype === "I32" ? 4 : 1;
    if (data.length !== size) throw rangeError(`checkpoint: ${this.full(part)}`, "one number", `${data.length} bytes`);
    return size === 1 ? (data[0] as number) : (words(data)[0] as number) | 0;
  }

  /** @param got what is there in place of it */
  refuse(part: string, expected: string, got: string): never {
    throw rangeError(`checkpoint: ${this.full(part)}`, expected, got);
  }
}

export const FLOAT_TYPES: readonly string[] = ["F16", "BF16", "F32"];

/** Numbers with their type, as the formats take them. */
export function floats({ dtype, data }: StoredTensor): NamedFloats {
  return { dtype: FLOATS[dtype] as NamedFloats["dtype"], data };
}

/** 32-bit words, or the halves of 64-bit ones. */
export function words(data: Uint8Array): Int32Array {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const out = new Int32Array(Math.floor(data.length / 4));
  for (let i = 0; i < out.length; i++) out[i] = view.getInt32(4 * i, true);
  return out;
}

/** Signed bytes as codes that are 128 higher. */
export const raised = (data: Uint8Array): Uint8Array => data.map((byte) => byte ^ 128);
