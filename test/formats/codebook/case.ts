import { codebook } from "../../../src/index.ts";
import { formats as registry } from "../../../src/kernels/formats.ts";
import type { IndexBits } from "../../../src/kernels/types.ts";
import { filled } from "../../lib/fill.ts";
import type { Random } from "../../lib/random.ts";
import { type AnyWeights, groupsOf, inParts, type TestFormat, whole } from "../../lib/test-format.ts";
import { makeWeights } from "../../reference/weights.ts";

/** Codes point into a table of integers, the same for all rows or one a row. */
function codebookFormat(bits: IndexBits, kind: "" | "_i16" | "_rows"): TestFormat {
  const size = 2 ** bits;
  const most = kind === "" ? 63 : 32767;
  const grouped = kind !== "_rows";
  // The largest magnitude is there, or the entries would not be what they are made of: see integerTable.
  const table = (rng: Random, largest = most): number[] => {
    const entries = Array.from({ length: size }, () => rng.int(-largest, largest));
    // Neighbours have no common divisor, so the unit is 1.
    entries[1] = largest;
    entries[2] = largest - 1;
    if (kind === "_i16") entries[0] = -most + 1;
    return entries;
  };
  const make = (
    rows: number,
    cols: number,
    tables: readonly number[][],
    indices: Uint8Array,
    scales: ArrayLike<number>,
    groupSize?: number,
  ): AnyWeights => {
    const codes = filled(new Int16Array(indices.length), (i) => {
      const entries = tables[tables.length === 1 ? 0 : Math.floor(i / cols)] as number[];
      return entries[indices[i] as number] as number;
    });
    const weights = makeWeights({ rows, cols, planes: 1, codes, scales, groupSize });
    return Object.assign(inParts(weights, kind === "" ? 65536 : 512, registry[`codebook${bits}${kind}`].chunk), {
      tables,
      indices,
    });
  };
  // Entry 0 is the least, entry 1 the largest.
  const extremes = [-most, most, 0, -1, ...new Array<number>(size).fill(1)].slice(0, size);
  return {
    levels: extremes.slice(0, 4),
    grouped,
    of: (rows, cols, codes, scales, groupSize) => {
      const tables = kind === "_rows" ? Array.from({ length: rows }, () => extremes) : [extremes];
      const indices = filled(new Uint8Array(codes.length), (i) => extremes.indexOf(codes[i] as number));
      return make(rows, cols, tables, indices, scales, groupSize);
    },
    random: (rows, cols, rng, groupSize) => {
      const largest = kind === "" ? rng.int(1, most) : most;
      const tables = Array.from({ length: kind === "_rows" ? rows : 1 }, () => table(rng, largest));
      const indices = filled(new Uint8Array(rows * cols), () => rng.int(0, size - 1));
      return make(rows, cols, tables, indices, rng.gaussians(rows * groupsOf(cols, groupSize)), groupSize);
    },
    pack: (lb, weights, common) => {
      const { tables, indices } = weights as AnyWeights & { tables: number[][]; indices: Uint8Array };
      const { groupSize: _, ...rest } = common;
      const { groupSize, scales } = whole(weights);
      return codebook.pack(lb, {
        ...rest,
        ...(grouped && { groupSize }),
        bits,
        codes: indices,
        tables: Float32Array.from(tables.flat()),
        scales,
      });
    },
  };
}

export const cases = {
  codebook2: codebookFormat(2, ""),
  codebook3: codebookFormat(3, ""),
  codebook4: codebookFormat(4, ""),
  codebook2_i16: codebookFormat(2, "_i16"),
  codebook3_i16: codebookFormat(3, "_i16"),
  codebook4_i16: codebookFormat(4, "_i16"),
  codebook2_rows: codebookFormat(2, "_rows"),
  codebook3_rows: codebookFormat(3, "_rows"),
  codebook4_rows: codebookFormat(4, "_rows"),
};
