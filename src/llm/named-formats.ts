// Formats of a file by a name, as a command line has it: "uniform4", "uniform4:64" (columns of a group), "lift2.4", "nf4". Those that are quick
// are of quantize.ts, which quantises while a checkpoint is read.
import { quantizeAsync as bcq } from "../formats/bcq/index.ts";
import { pack as dense } from "../formats/dense/index.ts";
import { quantizeAsync as e8p } from "../formats/e8p/index.ts";
import { quantizeAsync as fairy2i } from "../formats/fairy2i/index.ts";
import { quantizeAsync as glvq } from "../formats/glvq/index.ts";
import { quantizeAsync as lift } from "../formats/lift/index.ts";
import { quantizeAsync as onebit } from "../formats/onebit/index.ts";
import { quantizeAsync as ptqtp } from "../formats/ptqtp/index.ts";
import { quantizeAsync as pvq } from "../formats/pvq/index.ts";
import { quantizeAsync as trellis } from "../formats/trellis/index.ts";
import { checkInteger, MAX_COLS, rangeError, typeError } from "../lib/check.ts";
import { nearest } from "../lib/options.ts";
import type { Matrix } from "../matrix/spec.ts";
import type { Lowbit } from "../runtime/features.ts";
import { quantizers } from "./quantize.ts";

/** What quantisers take besides. */
interface Common {
  readonly rows: number;
  readonly cols: number;
  readonly signal?: AbortSignal;
}

type Quantize = (lb: Lowbit, w: Float32Array, common: Common, groupSize: number | undefined) => Promise<Matrix>;

const grouped = (groupSize: number | undefined, fallback?: number): { readonly groupSize?: number } => {
  const size = groupSize ?? fallback;
  return size === undefined ? {} : { groupSize: size };
};

/** Columns of a group where quality wants some and the name says nothing. */
const GROUP = 64;

type Row = readonly [name: string, quantize: Quantize];

const each = <T extends number | string>(values: readonly T[], row: (value: T) => Row): Row[] => values.map(row);

const rowsOf = (): readonly Row[] => [
  ...[...quantizers()].map(
    ([name, quantize]): Row => [
      name,
      async (lb, w, { rows, cols }, groupSize) =>
        quantize(lb, w, { rows, cols, activation: "int8", ...grouped(groupSize) }),
    ],
  ),
  ["f32", async (lb, w, { rows, cols }) => dense(lb, { rows, cols, weights: w })],
  ...each([1, 2, 3, 4], (bits) => [
    `bcq${bits}`,
    (lb, w, common, group) => bcq(lb, w, { ...common, ...grouped(group, GROUP), bits }),
  ]),
  ["ptqtp", (lb, w, common) => ptqtp(lb, w, common)],
  ["onebit", (lb, w, common) => onebit(lb, w, common)],
  ...each([2, 3, 4] as const, (bits) => [
    `glvq${bits}`,
    (lb, w, common, group) => glvq(lb, w, { ...common, ...grouped(group), bits }),
  ]),
  ...each([1.25, 1.5, 1.6, 1.75, 2, 2.2, 2.4, 2.5, 2.67, 3, 3.5, 4], (bits) => [
    `lift${bits}`,
    (lb, w, common) => lift(lb, w, { ...common, bits }),
  ]),
  ...each([2, 3, 4] as const, (bits) => [`e8p${bits}`, (lb, w, common) => e8p(lb, w, { ...common, bits })]),
  ...each([1, 2, 3, 4, 5, 6, 7, 8], (bits) => [
    `trellis${bits}`,
    (lb, w, common) => trellis(lb, w, { ...common, bits }),
  ]),
  ["pvq2", (lb, w, common, group) => pvq(lb, w, { ...common, ...grouped(group), vectorSize: 16 })],
  ["pvq4", (lb, w, common, group) => pvq(lb, w, { ...common, ...grouped(group), vectorSize: 8, pulses: 14 })],
  ["fairy2i", (lb, w, common) => fairy2i(lb, w, common)],
];

/** Names of formats that floats can be quantised to. */
export function formatNames(): readonly string[] {
  return rowsOf().map(([name]) => name);
}

/** Quantises weights to one format. */
export interface NamedFormat {
  readonly name: string;
  /**
   * @param w [rows, cols] row-major
   * @throws as the quantiser of the format
   */
  quantize(lb: Lowbit, w: Float32Array, shape: Common): Promise<Matrix>;
}

/**
 * A format by its name, "uniform4" or "uniform4:128" with the columns of a group.
 *
 * @throws TypeError, RangeError for a name that is none, with the nearest that is one
 */
export function formatNamed(where: string, name: unknown): NamedFormat {
  if (typeof name !== "string") throw typeError(where, "the name of a format", name);
  const [, base = name, group] = /^(.*?)(?::(\d+))?$/s.exec(name) ?? [];
  const row = rowsOf().find(([one]) => one === base.toLowerCase());
  if (!row) {
    const near = nearest(base, formatNames());
    const hint = near === undefined ? `one of ${formatNames().join(", ")}` : `a format (did you mean "${near}"?)`;
    throw rangeError(where, hint, JSON.stringify(name));
  }
  const groupSize = group === undefined ? undefined : checkInteger(`${where}: group`, Number(group), 1, MAX_COLS);
  return { name, quantize: (lb, w, shape) => row[1](lb, w, shape, groupSize) };
}
