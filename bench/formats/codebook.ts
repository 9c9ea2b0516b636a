import { codebook } from "lowbit";
import type { FormatName, IndexBits } from "../../src/kernels/types.ts";
import { makeRandom } from "../random.ts";
import { type BenchFormat, common, labelOf, randomBytes, randomScales } from "./format.ts";

/** E2M1 (OCP Microscaling Formats 1.0, table 5), and what is like it in fewer bits: whole multiples of one number. */
const EXACT: Readonly<Record<IndexBits, readonly number[]>> = {
  2: [-3, -1, 1, 3],
  3: [0, 1, 2, 4, 0, -1, -2, -4],
  4: [0, 0.5, 1, 1.5, 2, 3, 4, 6, 0, -0.5, -1, -1.5, -2, -3, -4, -6],
};

/** NF4 (QLoRA, Dettmers et al. 2023, appendix E). */
const NF4 = [
  -1, -0.6961928, -0.52507305, -0.3949175, -0.28444138, -0.18477343, -0.09105004, 0, 0.0795803, 0.1609302, 0.2461123,
  0.33791524, 0.44070983, 0.562617, 0.72295684, 1,
];

/** Entries of a row's own table; shared by all rows otherwise. */
type Tables = "exact" | "nf" | "rows";

function makeTables(kind: Tables, bits: IndexBits, rows: number): Float32Array {
  if (kind === "exact") return Float32Array.from(EXACT[bits]);
  if (kind === "nf")
    return Float32Array.from({ length: 2 ** bits }, (_, i) => NF4[(i + 1) * 2 ** (4 - bits) - 1] as number);
  const random = makeRandom(5);
  return Float32Array.from({ length: rows * 2 ** bits }, () => random.gaussian() / 50);
}

const SUFFIX = { exact: "", nf: "_i16", rows: "_rows" } as const;

/** w = scale · table[code]; no scales with a table a row. */
export function codebookFormat(bits: IndexBits, kind: Tables, groupSize?: number): BenchFormat {
  const format: FormatName = `codebook${bits}${SUFFIX[kind]}`;
  return {
    label: labelOf(format, groupSize),
    format,
    rounded: kind !== "exact",
    make(rows, cols) {
      const size = groupSize ?? cols;
      const groups = Math.ceil(cols / size);
      const codes = randomBytes(rows * cols, 1, 2 ** bits);
      const tables = makeTables(kind, bits, rows);
      const scales = kind === "rows" ? Float32Array.of(1) : randomScales(rows * groups, 3);
      return {
        decodeRow(row) {
          const first = kind === "rows" ? row * 2 ** bits : 0;
          return Float64Array.from({ length: cols }, (_, c) => {
            const scale = kind === "rows" ? 1 : (scales[row * groups + Math.floor(c / size)] as number);
            return scale * (tables[first + (codes[row * cols + c] as number)] as number);
          });
        },
        pack: (lb, options) =>
          codebook.pack(lb, { ...common(rows, cols, groupSize, options), bits, codes, tables, scales }),
      };
    },
  };
}

/** Groups of MXFP4 and of bitsandbytes. */
export const benches: readonly BenchFormat[] = ([2, 3, 4] as const).flatMap((bits) => [
  codebookFormat(bits, "exact", 32),
  codebookFormat(bits, "nf", 64),
  codebookFormat(bits, "rows"),
]);
