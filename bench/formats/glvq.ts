// Random codes of grouped lattice vectors behind bases near a multiple of the identity. Companded ones are those integers
// that the kernels multiply by, which is what the format says weights are.

import { glvq } from "lowbit";
import { decodeColumn, makeTable } from "../../src/formats/glvq/tables.ts";
import { makeRandom } from "../random.ts";
import { type BenchFormat, common, labelOf, randomBytes, randomScales } from "./format.ts";

const GROUP = 128;

export function glvqFormat(bits: 2 | 3 | 4, dimension: 8 | 16 | 32, companded: boolean): BenchFormat {
  const d = dimension;
  return {
    label: labelOf(`glvq${bits}`, companded && "mu", d !== 8 && `d${d}`),
    format: companded ? "glvq" : `uniform${bits}`,
    make(rows, cols) {
      const groups = Math.ceil(cols / GROUP);
      const padded = Math.ceil(cols / d) * d;
      const codes = randomBytes(rows * padded, 1, 2 ** bits);
      const scales = randomScales(rows, 3);
      const random = makeRandom(4);
      const bases = Float32Array.from({ length: groups * d * d }, (_, i) => {
        return (i % (d * d)) % (d + 1) === 0 ? 0.3 : (random.below(1000) - 500) / 10_000;
      });
      const mu = new Float32Array(groups).fill(30);
      const basisOf = (group: number): Float32Array => bases.subarray(group * d * d, (group + 1) * d * d);
      const tables = companded ? Array.from(mu, (value, group) => makeTable(basisOf(group), value, d)) : [];
      const nibbles = new Uint8Array(d / 2);
      return {
        decodeRow(row) {
          const w = new Float64Array(cols);
          for (let col = 0; col < cols; col++) {
            const group = Math.floor(col / GROUP);
            const vector = row * padded + col - (col % d);
            const basis = basisOf(group);
            const table = tables[group];
            if (table) {
              for (let p = 0; p < d / 2; p++) {
                nibbles[p] = (codes[vector + 2 * p] as number) | ((codes[vector + 2 * p + 1] as number) << 2);
              }
              w[col] = (decodeColumn(table, col % d, nibbles) * table.unit) / 64;
            } else {
              for (let j = 0; j < d; j++) {
                const z = (codes[vector + j] as number) - (2 ** bits - 1) / 2;
                w[col] = (w[col] as number) + z * (basis[(col % d) * d + j] as number);
              }
            }
            w[col] = (w[col] as number) * (scales[row] as number);
          }
          return w;
        },
        pack: (lb, options) =>
          glvq.pack(lb, {
            ...common(rows, cols, GROUP, options),
            ...{ bits, dimension, codes, bases, scales },
            ...(companded && { mu }),
          }),
      };
    },
  };
}

/** Lattice vectors without companding are uniform codes that meet projected activations. */
export const benches: readonly BenchFormat[] = [
  glvqFormat(2, 8, false),
  glvqFormat(2, 32, false),
  glvqFormat(3, 8, false),
  glvqFormat(4, 8, false),
  glvqFormat(2, 8, true),
  glvqFormat(2, 16, true),
  glvqFormat(2, 32, true),
];
