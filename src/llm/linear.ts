// Linear layers between a container and a matrix: rows that can be cut, put in another order, and joined.
import type { HubLayer } from "../files/checkpoint/layers.ts";
import { matrix as ggmlMatrix, rowBytesOf } from "../files/ggml/index.ts";
import { type DenseType, pack as packDense } from "../formats/dense/index.ts";
import { pack as packTernary } from "../formats/ternary/index.ts";
import type { Activation } from "../kernels/types.ts";
import { bfloat16ToFloat, halfToFloat } from "../lib/half.ts";
import type { Matrix } from "../matrix/spec.ts";
import type { Lowbit } from "../runtime/features.ts";
import { type QuantizeAs, quantizeAs } from "./quantize.ts";
import { floatsOf, type ModelTensor, wordsOf } from "./tensors.ts";

interface Shape {
  readonly rows: number;
  readonly cols: number;
}

/** Numbers as they are. */
interface DenseLinear extends Shape {
  readonly kind: DenseType;
  readonly weights: Float32Array | Uint16Array;
  /** What they become. */
  readonly as?: QuantizeAs | undefined;
}

/** scale · {-1, 0, 1}, the codes w + 1 of four columns a byte, the first in the low bits; a scale a row. */
interface TernaryLinear extends Shape {
  readonly kind: "ternary";
  readonly codes: Uint8Array;
  readonly scales: Float32Array;
}

/** Blocks of one of ggml's types, row after row. */
interface GgmlLinear extends Shape {
  readonly kind: "ggml";
  readonly type: string;
  readonly data: Uint8Array;
}

/** A matrix of a file of lowbit's own: its rows stay where they are. */
interface PackedLinear extends Shape {
  readonly kind: "packed";
  readonly matrix: Matrix;
}

/** A quantised layer of a checkpoint of the hub, as its method reads it. */
interface HubLinear extends Shape {
  readonly kind: "hub";
  readonly layer: HubLayer;
  /** Rows that are taken. */
  readonly order?: Uint32Array;
}

export type Linear = DenseLinear | TernaryLinear | GgmlLinear | PackedLinear | HubLinear;

export const hubLinear = (layer: HubLayer): HubLinear => ({
  kind: "hub",
  rows: layer.rows,
  cols: layer.cols,
  layer,
});

const DENSE: Readonly<Record<string, DenseType>> = { F32: "float32", F16: "float16", BF16: "bfloat16" };

/**
 * @param scale of packed ternary weights (BitNet's published layout)
 * @param at which matrix of a stack [count, rows, cols]; undefined for a tensor that is one
 * @throws RangeError for a type that no format here takes
 */
export function readLinear(name: string, tensor: ModelTensor, scale?: ModelTensor, at?: number): Linear {
  const { shape, dtype, matrix } = tensor;
  const [rows, cols] = shape.slice(-2) as [number, number];
  if (matrix) return { kind: "packed", rows, cols, matrix };
  if (shape.length !== (at === undefined ? 2 : 3)) {
    throw new RangeError(`load: ${name}: expected a matrix, got a tensor of shape [${shape.join(", ")}]`);
  }
  const kind = Object.hasOwn(DENSE, dtype) ? DENSE[dtype] : undefined;
  if (kind !== undefined) {
    const begin = (at ?? 0) * rows * cols;
    const end = begin + rows * cols;
    const weights = kind === "float32" ? (floatsOf(tensor, begin, end) as Float32Array) : wordsOf(tensor, begin, end);
    return { kind, rows, cols, weights };
  }
  if (dtype === "U8" && scale !== undefined && at === undefined) return readBitNet(tensor, scale);
  const rowBytes = rowBytesOf(dtype, cols);
  if (rowBytes !== undefined) {
    const begin = (at ?? 0) * rows * rowBytes;
    return { kind: "ggml", type: dtype, rows, cols, data: tensor.data.subarray(begin, begin + rows * rowBytes) };
  }
  throw new RangeError(
    `load: ${name}: expected weights of type ${Object.keys(DENSE).join(", ")}, one of ggml's blocks, or U8 with a weight_scale, got ${dtype}`,
  );
}

// BitNet b1.58 2B4T: byte [out / 4, in], row j · out / 4 + i in bits 2j as w + 1.
function readBitNet({ shape, data }: ModelTensor, scale: ModelTensor): TernaryLinear {
  const [quarter, cols] = shape as [number, number];
  const rows = 4 * quarter;
  const rowBytes = Math.ceil(cols / 4);
  const codes = new Uint8Array(rows * rowBytes);
  for (let i = 0; i < quarter; i++) {
    for (let col = 0; col < cols; col++) {
      const byte = data[i * cols + col] as number;
      for (let j = 0; j < 4; j++) {
        const to = (j * quarter + i) * rowBytes + (col >> 2);
        codes[to] = (codes[to] as number) | (((byte >> (2 * j)) & 3) << (2 * (col & 3)));
      }
    }
  }
  const [value] = floatsOf(scale) ?? [];
  if (value === undefined) throw new RangeError(`load: weight_scale: expected a number, got ${scale.dtype}`);
  return { kind: "ternary", rows, cols, codes, scales: new Float32Array(rows).fill(value) };
}

/** The rows `order[0]`, `order[1]`, … */
export function takeRows(linear: Linear, order: Uint32Array): Linear {
  if (linear.kind === "packed") {
    throw new RangeError("load: expected weights whose rows can be put in another order, got a packed matrix");
  }
  const rows = order.length;
  if (linear.kind === "hub") return { ...linear, rows, order };
  if (linear.kind === "ternary") {
    const rowBytes = linear.codes.length / linear.rows;
    return {
      ...linear,
      rows,
      codes: gather(linear.codes, rowBytes, order),
      scales: gather(linear.scales, 1, order),
    };
  }
  if (linear.kind === "ggml")
    return { ...linear, rows, data: gather(linear.data, linear.data.length / linear.rows, order) };
  return { ...linear, rows, weights: gather(linear.weights, linear.cols, order) };
}

type Rows = Float32Array | Uint16Array | Uint8Array;

function gather<T extends Rows>(from: T, size: number, order: Uint32Array): T {
  const to = from.slice(0, 0).constructor as new (length: number) => T;
  const out = new to(order.length * size);
  for (const [i, row] of order.entries()) out.set(from.subarray(row * size, (row + 1) * size), i * size);
  return out;
}

/** [cols, rows] as [rows, cols]. */
export function transpose(linear: DenseLinear): DenseLinear {
  const { rows, cols, weights } = linear;
  const out = weights.slice();
  for (let row = 0; row < rows; row++) {
    for (let col = 0; col < cols; col++) out[col * rows + row] = weights[row * cols + col] as number;
  }
  return { ...linear, rows: cols, cols: rows, weights: out };
}

/** One layer of all their rows, or undefined where they are of different kinds. */
export function join(parts: readonly Linear[]): Linear | undefined {
  const [first] = parts as [Linear];
  if (parts.length === 1) return first;
  if (!parts.every(({ kind, cols }) => kind === first.kind && cols === first.cols)) return undefined;
  if (first.kind === "packed" || first.kind === "hub") return undefined;
  const rows = parts.reduce((sum, part) => sum + part.rows, 0);
  if (first.kind === "ternary") {
    const ternary = parts as readonly TernaryLinear[];
    return { ...first, rows, codes: concat(ternary.map((p) => p.codes)), scales: concat(ternary.map((p) => p.scales)) };
  }
  if (first.kind === "ggml") {
    const blocks = parts as readonly GgmlLinear[];
    if (!blocks.every(({ type }) => type === first.type)) return undefined;
    return { ...first, rows, data: concat(blocks.map(({ data }) => data)) };
  }
  const dense = parts as readonly DenseLinear[];
  if (!dense.every(({ as }) => as?.name === first.as?.name && as?.groupSize === first.as?.groupSize)) return undefined;
  return { ...first, rows, weights: concat(dense.map((part) => part.weights)) };
}

/** Arrays of one type, one after the other. */
export function concat<T extends Rows>(parts: readonly T[]): T {
  const [first] = parts as [T];
  const type = first.constructor as new (length: number) => T;
  const out = new type(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** A matrix of it, with what is added to the product. */
export function packLinear(lb: Lowbit, linear: Linear, activation: Activation, bias?: Float32Array): Matrix {
  const matrix = unbiased(lb, linear, activation);
  return bias === undefined ? matrix : matrix.with({ bias });
}

function unbiased(lb: Lowbit, linear: Linear, activation: Activation): Matrix {
  const { rows, cols } = linear;
  if (linear.kind === "packed") return linear.matrix;
  if (linear.kind === "hub") return linear.layer.pack(lb, activation, linear.order);
  if (linear.kind === "ternary") {
    return packTernary(lb, { rows, cols, codes: linear.codes, scales: linear.scales, activation });
  }
  if (linear.kind === "ggml") {
    const { type, data } = linear;
    // Lookup tables are for ternary weights: others round activations in the other way.
    const possible = activation === "lut8" && !type.startsWith("TQ") ? "int8" : activation;
    return ggmlMatrix(lb, { type, rows, cols, data, activation: possible });
  }
  if (linear.as) return quantizeAs(lb, numbersOf(linear), rows, cols, linear.as, activation);
  return packDense(lb, {
    rows,
    cols,
    weights: linear.weights,
    ...(linear.kind !== "float32" && { type: linear.kind }),
  });
}

function numbersOf({ kind, weights }: DenseLinear): Float32Array {
  if (kind === "float32") return weights as Float32Array;
  return (kind === "float16" ? halfToFloat : bfloat16ToFloat)("load", weights as Uint16Array);
}
