import { candidates, exportOf, kernels } from "../../src/kernels/registry.ts";
import type { Kernel, Variant } from "../../src/kernels/types.ts";

/** The matrix that kernels are counted on, and the tokens of gemm. */
export const ROWS = 64;
export const COLS = 4096;
export const TOKENS = 32;

/** What one mark of guest.ts belongs to; the first is mark 1. */
export interface Marked {
  readonly kernel: string;
  readonly variant: Variant;
  /** The label of the bench format. */
  readonly weights: string;
}

/** Bits of trellis codes that are counted: one of each loop (up to 4 bits, and more), where others execute the same. */
const TRELLIS_COUNTED = [2, 6];

/**
 * The kernels of a binary that are counted: all but those for float32 that are three passes of what int8 has, and those of
 * trellis codes that have the loop of other bits.
 */
export function countedKernels(variant: Variant): Kernel[] {
  return kernels.filter(
    (row) =>
      candidates(row.op, row.format, row.activation, variant).includes(row) &&
      TRELLIS_COUNTED.includes(Number(/^trellis(\d)/.exec(row.format)?.[1] ?? 2)) &&
      !(row.activation === "f32" && (row.op === "gemm" || exportOf(row).includes("_int8_"))),
  );
}
