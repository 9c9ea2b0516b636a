import { e8p } from "../../../src/index.ts";
import { filled } from "../../lib/fill.ts";
import { type AnyWeights, groupsOf, inParts, type TestFormat, whole } from "../../lib/test-format.ts";
import { codeNear, e8pVector, e81bVector } from "../../reference/e8p.ts";
import { makeWeights } from "../../reference/weights.ts";

/** Codes of 8 columns. `of` takes vectors of the codebook near those that are asked for; weights are 4w or 2w. */
function latticeFormat(codebook: "e8p" | "e81b"): TestFormat {
  const [vector, size, unit] = codebook === "e8p" ? [e8pVector, 65536, 4] : [e81bVector, 256, 2];
  const make = (
    rows: number,
    cols: number,
    units: Uint16Array,
    scales: ArrayLike<number>,
    groupSize?: number,
  ): AnyWeights => {
    const perRow = Math.ceil(cols / 8);
    const vectors = new Map<number, number[]>();
    for (const code of units) if (!vectors.has(code)) vectors.set(code, vector(code));
    const codes = filled(new Int8Array(rows * cols), (i) => {
      const row = Math.floor(i / cols);
      const col = i % cols;
      const v = vectors.get(units[row * perRow + (col >> 3)] as number) as number[];
      return unit * (v[col & 7] as number);
    });
    const weights = makeWeights({ rows, cols, planes: 1, codes, scales, groupSize });
    return Object.assign(inParts(weights, 65536, 8), { units });
  };
  const near = (v: readonly number[]): number => {
    if (codebook === "e8p") return codeNear(v);
    return (v.reduce((hash, x, i) => hash + (i + 1) * (x + 4), 0) * 37) & 255;
  };
  return {
    levels: codebook === "e8p" ? [-7, 7, 11, -3] : [-1, 1, 2, 0],
    grouped: true,
    of: (rows, cols, codes, scales, groupSize) => {
      const perRow = Math.ceil(cols / 8);
      const known = new Map<string, number>();
      const units = Uint16Array.from({ length: rows * perRow }, (_, i) => {
        const row = Math.floor(i / perRow);
        const from = row * cols + 8 * (i % perRow);
        const v = Array.from({ length: 8 }, (_, k) =>
          from + k < (row + 1) * cols ? (codes[from + k] as number) / unit : 0.5,
        );
        const key = v.join();
        if (!known.has(key)) known.set(key, near(v));
        return known.get(key) as number;
      });
      return make(rows, cols, units, scales, groupSize);
    },
    random: (rows, cols, rng, groupSize) => {
      const units = filled(new Uint16Array(rows * Math.ceil(cols / 8)), () => rng.int(0, size - 1));
      return make(rows, cols, units, rng.gaussians(rows * groupsOf(cols, groupSize)), groupSize);
    },
    pack: (lb, weights, common) => {
      const { units } = weights as AnyWeights & { units: Uint16Array };
      const { groupSize, scales } = whole(weights);
      const options = { ...common, groupSize, codebook, codes: units };
      return e8p.packCodes(lb, { ...options, scales: scales.map((scale) => scale * unit) });
    },
  };
}

export const cases = { e8p: latticeFormat("e8p"), e81b: latticeFormat("e81b") };
