// What a method gives, and layers that several have.
import { fromNvfp4 } from "../../formats/codebook/index.ts";
import { fromFp8 } from "../../formats/minifloat/index.ts";
import type { Activation } from "../../kernels/types.ts";
import type { Matrix } from "../../matrix/spec.ts";
import type { Lowbit } from "../../runtime/features.ts";
import type { Settings } from "./settings.ts";
import { FLOAT_TYPES, floats, type Module } from "./tensors.ts";

/** A layer whose tensors are in memory. */
export interface HubLayer {
  readonly rows: number;
  readonly cols: number;
  /** @param order rows that are wanted, of methods whose rows are stored one by one */
  pack(lb: Lowbit, activation: Activation | undefined, order?: Uint32Array): Matrix;
}

/** What a method makes of modules. */
export interface Method {
  /** What a module has where it is quantised, `weight` among them or not. */
  readonly parts: readonly string[];
  /** Modules that the configuration leaves alone. */
  readonly left: (module: string) => boolean;
  /** Whether weights of floats are quantised by who reads them. */
  readonly online?: boolean;
  /** @param expert which one of a stack */
  readonly read: (module: Module, expert: number | undefined) => HubLayer;
}

/** Codes of integers and of tables have no lookups of activations: they are rounded to int8 there, too. */
export const integerActivation = (activation: Activation | undefined): { activation?: Activation } =>
  activation === undefined ? {} : { activation: activation === "f32" ? "f32" : "int8" };

const FP8_TYPES = { F8_E4M3: "e4m3", F8_E5M2: "e5m2" } as const;

/** FP8 whose scales are of the matrix, its rows, or blocks. */
export function fp8Layer(m: Module, part: string, block?: readonly [number, number]): HubLayer {
  const weight = m.matrix("weight", Object.keys(FP8_TYPES));
  const { rows, cols } = weight;
  const scale = m.need(part, [...FLOAT_TYPES, "F8_E8M0", "U8"]);
  const size = scale.shape.reduce((product, n) => product * n, 1);
  const down = block ? Math.ceil(rows / block[0]) : rows;
  const across = block ? Math.ceil(cols / block[1]) : 1;
  if (size !== 1) m.shaped(part, [scale.dtype], ...(scale.shape.length === 1 ? [down * across] : [down, across]));
  const type = FP8_TYPES[weight.dtype as keyof typeof FP8_TYPES];
  return {
    rows,
    cols,
    pack: (lb, activation) =>
      fromFp8(lb, {
        ...{ rows, cols, type, weight: weight.data },
        scale: FLOAT_TYPES.includes(scale.dtype) ? floats(scale) : scale.data,
        ...(block && { block }),
        // The numbers of e5m2 are no integers of 32 bits.
        ...(type === "e5m2" ? {} : integerActivation(activation)),
      }),
  };
}

/** `weight_block_size` and its like: [rows, columns]. */
export function blockOf(settings: Settings, name: string): readonly [number, number] | undefined {
  const given = settings.get(name);
  if (given === undefined) return undefined;
  const fits = Array.isArray(given) && given.length === 2 && given.every((n) => Number.isInteger(n) && n > 0);
  return fits ? (given as unknown as [number, number]) : settings.refuse(name, "two whole numbers");
}

/** NVFP4 whose global scale divides (compressed-tensors) or multiplies (ModelOpt). */
export function nvfp4Layer(m: Module, packedName: string, global: string, divides: boolean): HubLayer {
  const packed = m.matrix(packedName, ["U8"]);
  const [rows, cols] = [packed.rows, 2 * packed.cols];
  const scales = m.shaped("weight_scale", ["F8_E4M3"], rows, Math.ceil(cols / 16));
  const whole = m.need(global, ["F32"]);
  return {
    rows,
    cols,
    pack: (lb, activation) =>
      fromNvfp4(lb, {
        ...{ rows, cols, packed: packed.data, scales: scales.data },
        [divides ? "globalDivisor" : "globalScale"]: floats(whole),
        ...integerActivation(activation),
      }),
  };
}
