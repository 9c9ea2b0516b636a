import { uniform } from "lowbit";
import { UNIFORM_BITS, type UniformBits } from "../../src/kernels/types.ts";
import { withBranch } from "./branches.ts";
import { type BenchFormat, common, labelOf, randomBytes, randomScales } from "./format.ts";

/** w = scale · (code - zero), the zero points the middle unless asked for. */
export function uniformFormat(bits: UniformBits, groupSize?: number, zero?: "zeros"): BenchFormat {
  return {
    label: labelOf(`uniform${bits}`, groupSize, zero),
    format: `uniform${bits}`,
    make(rows, cols) {
      const size = groupSize ?? cols;
      const groups = Math.ceil(cols / size);
      const codes = randomBytes(rows * cols, 1, 2 ** bits);
      const scales = randomScales(rows * groups, 3);
      const middle = 2 ** (bits - 1);
      // The mean code is middle - 1/2. Further from it on one side, Σx would decide the answers, and the NMSE with them.
      const zeros = new Float32Array(scales.length).map((_, i) => middle - (i & 1));
      return {
        decodeRow(row) {
          return Float64Array.from({ length: cols }, (_, c) => {
            const group = row * groups + Math.floor(c / size);
            const code = codes[row * cols + c] as number;
            return (scales[group] as number) * (code - (zero ? (zeros[group] as number) : middle));
          });
        },
        pack: (lb, options) =>
          uniform.pack(lb, {
            ...common(rows, cols, groupSize, options),
            bits,
            codes,
            scales,
            ...(zero && { zeros }),
          }),
      };
    },
  };
}

/** What is measured: the first of a kernel format is the one that is counted. */
export const benches: readonly BenchFormat[] = [
  ...UNIFORM_BITS.flatMap((bits) => [uniformFormat(bits), uniformFormat(bits, 128)]),
  uniformFormat(4, 128, "zeros"),
  withBranch(uniformFormat(4, 128), "rank16"),
  withBranch(uniformFormat(4, 128), "sparse"),
];
