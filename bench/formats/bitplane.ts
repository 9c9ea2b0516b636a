// Bit planes of weights met by bit planes of activations.
import { bitplane } from "lowbit";
import { type BenchFormat, randomBytes, randomScales } from "./format.ts";

/** Bipolar on both sides: a code u of n bits is 2u - (2^n - 1). */
export function bitplaneFormat(bits: number, activationBits: number): BenchFormat {
  return {
    label: `bitplane${bits}x${activationBits}`,
    format: "bitplane",
    make(rows, cols) {
      const codes = randomBytes(rows * cols, 1, 2 ** bits);
      const scales = randomScales(rows, 3);
      return {
        decodeRow: (row) =>
          Float64Array.from({ length: cols }, (_, c) => {
            return (2 * (codes[row * cols + c] as number) - (2 ** bits - 1)) * (scales[row] as number);
          }),
        pack: (lb, { kernel }) =>
          bitplane.pack(lb, {
            rows,
            cols,
            bits,
            activationBits,
            codes,
            scales,
            ...(kernel !== undefined && { kernel }),
          }),
      };
    },
  };
}

/** What is measured: the first of a kernel format is the one that is counted. */
export const benches: readonly BenchFormat[] = [bitplaneFormat(1, 1), bitplaneFormat(2, 4)];
