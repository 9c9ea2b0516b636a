// Lifted weights of random signs: whitened by a Hadamard transform, so cols is a power of two.

import { lift } from "lowbit";
import { shippedProjection } from "../../src/formats/lift/projections.ts";
import { type BenchFormat, common, randomBytes, randomScales } from "./format.ts";

export function liftFormat(projection: lift.ProjectionName): BenchFormat {
  const { dims, lifted, matrix } = shippedProjection(projection);
  return {
    label: `lift${Number((lifted / dims).toFixed(2))}`,
    format: "binary",
    make(rows, cols) {
      const vectors = Math.ceil(cols / dims);
      const rowBytes = Math.ceil((vectors * lifted) / 8);
      const signs = randomBytes(rows * rowBytes, 1);
      const scales = randomScales(rows, 3);
      const before = randomScales(cols, 4).map((value, i) => (i % 3 === 0 ? -50 : 50) * value);
      const after = randomScales(vectors * dims, 5).map((value) => 0.8 + 10 * value);
      return {
        decodeRow(row) {
          const rotated = new Float64Array(cols);
          for (let i = 0; i < cols; i++) {
            let sum = 0;
            for (let j = 0; j < lifted; j++) {
              const bit = j * vectors + (i % vectors);
              const byte = signs[row * rowBytes + (bit >> 3)] as number;
              const m = matrix[Math.floor(i / vectors) * lifted + j] as number;
              sum += (byte >> (bit & 7)) & 1 ? m : -m;
            }
            rotated[i] = sum * (after[i] as number);
          }
          hadamard(rotated);
          return rotated.map((value, i) => value * (before[i] as number) * (scales[row] as number));
        },
        pack: (lb, options) => {
          const codes = { ...common(rows, cols, undefined, options), projection, whitening: "hadamard" as const };
          return lift.packCodes(lb, { ...codes, signs, scales, before, after });
        },
      };
    },
  };
}

/** Orthonormal, in place. */
function hadamard(x: Float64Array): void {
  for (let half = 1; half < x.length; half *= 2) {
    for (let i = 0; i < x.length; i++) {
      if (i & half) continue;
      const [a, b] = [x[i] as number, x[i + half] as number];
      x[i] = (a + b) * Math.SQRT1_2;
      x[i + half] = (a - b) * Math.SQRT1_2;
    }
  }
}

/** Lifted weights are signs that meet projected activations. */
export const benches: readonly BenchFormat[] = [liftFormat("16to8"), liftFormat("24to10"), liftFormat("24to8")];
