import { pvq } from "../../../src/index.ts";
import { filled } from "../../lib/fill.ts";
import { type AnyWeights, groupsOf, inParts, type TestFormat, whole } from "../../lib/test-format.ts";
import { pyramidAt, pyramidCount, pyramidNear, pyramidNumber } from "../../reference/pvq.ts";
import { makeWeights } from "../../reference/weights.ts";

/** Vectors of a pyramid; what is to be near other numbers is its nearest vector. */
function vectorFormat(size: 8 | 16, most: number): TestFormat {
  const make = (
    rows: number,
    cols: number,
    vectors: readonly number[][],
    pulses: number,
    scales: ArrayLike<number>,
    groupSize?: number,
  ): AnyWeights => {
    const perRow = Math.ceil(cols / size);
    const codes = filled(new Int8Array(rows * cols), (i) => {
      const col = i % cols;
      const vector = vectors[Math.floor(i / cols) * perRow + Math.floor(col / size)] as number[];
      return vector[col % size] as number;
    });
    const weights = makeWeights({ rows, cols, planes: 1, codes, scales, groupSize });
    const numbers = new Map<readonly number[], number>();
    const indices = Uint32Array.from(vectors, (vector) => {
      if (!numbers.has(vector)) numbers.set(vector, Number(pyramidNumber(vector)));
      return numbers.get(vector) as number;
    });
    return Object.assign(inParts(weights, 65536, size), { indices, pulses });
  };
  return {
    levels: [-most, most, 0, 1],
    grouped: true,
    of: (rows, cols, codes, scales, groupSize) => {
      const perRow = Math.ceil(cols / size);
      const known = new Map<string, number[]>();
      const vectors = Array.from({ length: rows * perRow }, (_, i) => {
        const from = Math.floor(i / perRow) * cols + size * (i % perRow);
        const end = Math.min(from + size, (Math.floor(i / perRow) + 1) * cols);
        const wanted = Array.from({ length: size }, (_, c) => (from + c < end ? (codes[from + c] as number) : 0));
        const key = wanted.join();
        if (!known.has(key)) known.set(key, pyramidNear(wanted, most));
        return known.get(key) as number[];
      });
      return make(rows, cols, vectors, most, scales, groupSize);
    },
    random: (rows, cols, rng, groupSize) => {
      const pulses = rng.int(1, most);
      const count = Number(pyramidCount(size, pulses));
      // Whole numbers of any size are slow.
      const pool = Array.from({ length: 256 }, () => {
        return pyramidAt(BigInt(Math.floor(rng.uniform() * count)), size, pulses);
      });
      const vectors = Array.from({ length: rows * Math.ceil(cols / size) }, () => pool[rng.int(0, 255)] as number[]);
      return make(rows, cols, vectors, pulses, rng.gaussians(rows * groupsOf(cols, groupSize)), groupSize);
    },
    pack: (lb, weights, common) => {
      const { indices, pulses } = weights as AnyWeights & { indices: Uint32Array; pulses: number };
      const { groupSize, scales } = whole(weights);
      return pvq.pack(lb, { ...common, groupSize, scales, vectorSize: size, pulses, indices });
    },
  };
}

export const cases = { pvq8: vectorFormat(8, 14), pvq16: vectorFormat(16, 12) };
