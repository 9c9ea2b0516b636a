// Checks of what every format takes: rows, cols, groups, scales, codes.
import { formatOf } from "../kernels/formats.ts";
import { kernels } from "../kernels/registry.ts";
import { ACTIVATIONS, type Activation, type FormatName } from "../kernels/types.ts";
import {
  checkArray,
  checkChoice,
  checkFinite,
  checkFloatArray,
  checkInteger,
  checkLength,
  checkOptions,
  MAX_COLS,
  MAX_ROWS,
  rangeError,
} from "../lib/check.ts";
import type { OptionNames } from "../lib/options.ts";
import type { Steps } from "../lib/progress.ts";
import { type GroupShape, groupsOf, WHOLE_ROW } from "../numeric/shape.ts";

/** Options that every format takes. */
export interface CommonOptions {
  readonly rows: number;
  readonly cols: number;
  /** Columns that share a scale: a multiple of what the format says (8 at least), or at least cols, or -1 for cols. Default: cols. */
  readonly groupSize?: number;
  /** How activations are treated (docs/numerics.md). Default "int8". */
  readonly activation?: Activation;
  /** A kernel of the registry, by name, in place of the one that would be chosen. */
  readonly kernel?: string;
}

/** Options of layers whose weights are rotated: groups of columns mix. */
export type LayerOptions = Omit<CommonOptions, "groupSize">;

/** Options of imports, whose shape the tensors have. */
export type ImportOptions = Pick<CommonOptions, "activation" | "kernel">;

export const IMPORT_NAMES: OptionNames<ImportOptions> = { activation: [], kernel: [] };
export const LAYER_NAMES: OptionNames<LayerOptions> = { rows: [], cols: [], ...IMPORT_NAMES };
export const COMMON_NAMES: OptionNames<CommonOptions> = { ...LAYER_NAMES, groupSize: ["group_size"] };

/** Checked options. */
export interface Shape {
  readonly rows: number;
  readonly cols: number;
  /** At most cols. */
  readonly groupSize: number;
  readonly activation: Activation;
  readonly kernel: string | undefined;
}

/** Checks the options of a call that are common to all formats. */
export function checkShape(where: string, format: FormatName, options: CommonOptions): Shape {
  checkOptions(`${where}: options`, options);
  const rows = checkInteger(`${where}: rows`, options.rows, 1, MAX_ROWS);
  const cols = checkInteger(`${where}: cols`, options.cols, 1, MAX_COLS);
  const possible = ACTIVATIONS.filter((one) => kernels.some((k) => k.format === format && k.activation === one));
  const activation = options.activation === undefined ? (possible[0] as Activation) : options.activation;
  checkChoice(`${where}: activation`, activation, possible);
  let groupSize = cols;
  if (options.groupSize !== undefined && options.groupSize !== WHOLE_ROW) {
    const { chunk } = formatOf(format, activation);
    groupSize = checkInteger(`${where}: groupSize`, options.groupSize, 1, MAX_COLS);
    if (groupSize < cols && groupSize % chunk !== 0) {
      const near = Math.max(chunk, Math.round(groupSize / chunk) * chunk);
      throw rangeError(
        `${where}: groupSize`,
        `a multiple of ${chunk}, or cols (${cols}) or more`,
        `${groupSize} (${near} works)`,
      );
    }
    groupSize = Math.min(groupSize, cols);
  }
  return { rows, cols, groupSize, activation, kernel: options.kernel };
}

/** Checks scales, or what else there is one of a group: length 1 (matrix), rows (row), or rows x groups; finite. */
export function checkScales(where: string, given: unknown, shape: GroupShape): Float32Array {
  const value = checkFloatArray(where, given);
  const { rows } = shape;
  const groups = groupsOf(shape);
  if (value.length !== 1 && value.length !== rows && value.length !== rows * groups) {
    const lengths = groups === 1 ? `1 or ${rows}` : `1, ${rows} or ${rows * groups}`;
    throw rangeError(where, `length ${lengths} (rows ${rows}, groups of a row ${groups})`, String(value.length));
  }
  checkFinite(where, value);
  return value;
}

/** Checks codes [rows, cols] of 0 to `most`. */
export function checkCodes(where: string, given: unknown, { rows, cols }: GroupShape, most: number): Uint8Array {
  const value = checkArray(where, given, ["Uint8Array"]);
  checkLength(where, value, rows * cols, `rows ${rows} x cols ${cols}`);
  const bad = most < 255 ? value.findIndex((code) => code > most) : -1;
  if (bad >= 0) throw rangeError(where, `0 to ${most}`, `${value[bad]} at index ${bad}`);
  return value;
}

/** scale · (middle - zero): what the offset is where kernels multiply scale · (code - middle). Checked values. */
export function zeroOffsets(
  scales: Float32Array,
  zeros: Float32Array,
  shape: GroupShape,
  middle: number,
): Float32Array {
  const groups = groupsOf(shape);
  const each = expandValues(zeros, shape.rows, groups);
  return expandValues(scales, shape.rows, groups).map((scale, i) => scale * (middle - (each[i] as number)));
}

/** [1], [rows] or [rows, groups] as [rows, groups]. */
export function expandValues(values: Float32Array, rows: number, groups: number): Float32Array {
  if (values.length === rows * groups) return values;
  return Float32Array.from({ length: rows * groups }, (_, i) => {
    return values[values.length === 1 ? 0 : Math.floor(i / groups)] as number;
  });
}

/** Weights between two yields of `absoluteMeans`, at least: a millisecond. */
const MEANS_STEP = 1 << 19;

/** Mean of |w| over each group of each row, in float64; refuses NaN and Infinity. */
export function* absoluteMeans(
  where: string,
  w: Float32Array,
  { rows, cols, groupSize }: GroupShape,
): Steps<Float64Array> {
  const groups = groupsOf({ cols, groupSize });
  const means = new Float64Array(rows * groups);
  for (let row = 0, at = 0, last = 0; row < rows; row++) {
    if (at - last >= MEANS_STEP) {
      last = at;
      yield at / w.length;
    }
    for (let group = 0; group < groups; group++) {
      const size = Math.min(groupSize, cols - group * groupSize);
      let sum = 0;
      for (let i = 0; i < size; i++) sum += Math.abs(w[at++] as number);
      // A sum of finite float32 values is finite in float64, so one test covers the group.
      if (!Number.isFinite(sum)) {
        const index = w.findIndex((v) => !Number.isFinite(v));
        throw rangeError(where, "finite weights", `${w[index]} at index ${index}`);
      }
      means[row * groups + group] = sum / size;
    }
  }
  return means;
}
