import { pvq } from "lowbit";
import { pyramidAt, pyramidCount } from "../../test/reference/pvq.ts";
import { type BenchFormat, common, randomBytes, randomScales } from "./format.ts";

/** Vectors of a pyramid without rotations, each as likely as any other; the label says the stored bits. */
export function pvqFormat(vectorSize: 8 | 16, pulses: number): BenchFormat {
  return {
    label: `pvq${32 / vectorSize}`,
    format: `pvq${vectorSize}`,
    make(rows, cols) {
      const vectors = Math.ceil(cols / vectorSize);
      const count = Number(pyramidCount(vectorSize, pulses));
      const bytes = randomBytes(4 * rows * vectors, 1);
      const indices = new Uint32Array(bytes.buffer, 0, rows * vectors).map((bits) => bits % count);
      const scales = randomScales(rows, 3);
      return {
        decodeRow(row) {
          const w = new Float64Array(cols);
          for (let vector = 0; vector < vectors; vector++) {
            const y = pyramidAt(BigInt(indices[row * vectors + vector] as number), vectorSize, pulses);
            for (let c = 0; c < vectorSize && vector * vectorSize + c < cols; c++) {
              w[vector * vectorSize + c] = (scales[row] as number) * (y[c] as number);
            }
          }
          return w;
        },
        pack: (lb, options) =>
          pvq.pack(lb, { ...common(rows, cols, undefined, options), vectorSize, pulses, indices, scales }),
      };
    },
  };
}

/** What is measured: the first of a kernel format is the one that is counted. */
export const benches: readonly BenchFormat[] = [pvqFormat(8, 14), pvqFormat(16, 12)];
