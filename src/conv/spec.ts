// A convolution, checked: what its kernels and its epilogue are made of.
import type { Algorithm } from "./choose.ts";
import type { ConvEngine } from "./engine.ts";
import { BLOCK_BYTES, type Operand, RECORD_BYTES } from "./record.ts";
import { SFC, sfcBytes, transformWeights } from "./sfc.ts";
import type { Shape } from "./shape.ts";
import { type Bits, depthwiseBytes, directBytes, packDepthwise, packDirect } from "./weights.ts";

export interface Spec {
  readonly shape: Shape;
  readonly bits: Bits;
  readonly codes: Int8Array;
  /** [outChannels] or [1]. */
  readonly scales: Float32Array;
  readonly bias: Float32Array | undefined;
  readonly clip: readonly [number, number];
  readonly dyadic: boolean;
  readonly algorithm: Algorithm;
  readonly operand: Operand;
  /** Σ w of each filter. */
  readonly sums: Int32Array;
  /** The largest |Σ (x - zero) w| of each filter, for any codes and zero point: |x - zero| <= 255. */
  readonly extents: Float64Array;
}

export const scaleAt = ({ scales }: Pick<Spec, "scales">, k: number): number =>
  scales[scales.length === 1 ? 0 : k] as number;

const align = (bytes: number): number => Math.ceil(bytes / 64) * 64;

/** In the region of a convolution: the record, the constants of blocks of 16 outputs, the weights. */
export const CONSTANTS_AT: number = align(RECORD_BYTES);

/** Outputs fall into blocks of 16, those of each group of the direct algorithm into blocks of their own. */
export function blocksOf({ shape, algorithm }: Spec): { groups: number; outputs: number; blocks: number } {
  const groups = algorithm === "direct" ? shape.groups : 1;
  const outputs = shape.outChannels / groups;
  return { groups, outputs, blocks: Math.ceil(outputs / 16) };
}

export function weightsAt(spec: Spec): number {
  const { groups, blocks } = blocksOf(spec);
  return CONSTANTS_AT + groups * blocks * BLOCK_BYTES;
}

export function weightBytes({ shape, algorithm, operand }: Spec): number {
  if (algorithm === "direct") return directBytes(shape, operand);
  if (algorithm === "depthwise") return depthwiseBytes(shape);
  return sfcBytes(SFC[algorithm], shape.outChannels, shape.inChannels);
}

/** Writes the weights as the algorithm wants them. */
export function writeWeights({ arena }: ConvEngine, spec: Spec, address: number): void {
  const { shape, algorithm, operand, codes } = spec;
  const { buffer } = arena.memory;
  const bytes = weightBytes(spec);
  const words = new Int16Array(buffer, address, bytes / 2);
  if (algorithm === "direct") {
    packDirect(codes, shape, operand, operand === "wide" ? words : new Int8Array(buffer, address, bytes));
  } else if (algorithm === "depthwise") {
    packDepthwise(codes, shape, words);
  } else {
    transformWeights(SFC[algorithm], codes, shape.outChannels, shape.inChannels, words);
  }
}
