import { dense } from "lowbit";
import { type BenchFormat, randomScales } from "./format.ts";

/** Numbers of the upper half of float32 as they are: float32, or bfloat16, which is that half. */
export function denseFormat(bits: 16 | 32): BenchFormat {
  return {
    label: bits === 32 ? "float32" : "bfloat16",
    format: bits === 32 ? "dense32" : "denseb16",
    make(rows, cols) {
      const words = new Uint32Array(randomScales(rows * cols, 1).buffer).map((word) => word & 0xffff0000);
      const weights = new Float32Array(words.buffer);
      return {
        decodeRow: (row) => Float64Array.from(weights.subarray(row * cols, (row + 1) * cols)),
        pack: (lb) =>
          bits === 32
            ? dense.pack(lb, { rows, cols, weights })
            : dense.pack(lb, { rows, cols, weights: Uint16Array.from(words, (word) => word >>> 16), type: "bfloat16" }),
      };
    },
  };
}

/** What is measured: the first of a kernel format is the one that is counted. */
export const benches: readonly BenchFormat[] = [denseFormat(32), denseFormat(16)];
