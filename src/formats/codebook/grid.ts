// Codes of the nearest entry of a table, with a scale a group: w = scale · table[code].
import { rangeError } from "../../lib/check.ts";
import { e4m3Value } from "../../lib/half.ts";
import { inParts, joinRows, rowsOf, rowTask } from "../../lib/parts.ts";
import type { Steps } from "../../lib/progress.ts";
import { coveringScale, float32Scale, limitScale, STEP } from "../../numeric/scale.ts";
import { checkWeights, type GroupShape } from "../../numeric/shape.ts";
import { E2M1_DOUBLED } from "./published.ts";

/** w[row, col] = scales[row, group] · table[codes[row, col]]. */
export interface TableCodes {
  /** [rows, cols], indices of the table */
  readonly codes: Uint8Array;
  /** [rows, groups], finite, 0 for a group of zeros unless said otherwise */
  readonly scales: Float32Array;
}

/**
 * The nearest entry of any table, as for NF4 and FP4 (QLoRA, Dettmers et al. 2023): s = fround(max|w| / max|table|) of the
 * group, and the code is that of the entry nearest to w / s in float64, by comparison with the midpoints of neighbouring
 * entries. On a midpoint the even code wins, which is rounding half to even for floating-point tables, or the lower of two
 * even or two odd ones; of equal entries the first. A scale below 2^-126 is rounded up, and one with which the
 * largest entry would not be a float32 is lowered to what fits.
 *
 * @param w [rows, cols] row-major
 * @param table 2 to 256 finite numbers in any order, not all 0
 * @throws TypeError, RangeError for a wrong argument or NaN or Infinity in w (its index is named)
 */
export function tableCodes(
  where: string,
  w: Float32Array,
  shape: GroupShape,
  table: ArrayLike<number>,
): Steps<TableCodes> {
  const largest = checkTable(`${where}: table`, table);
  const scaleOf = (extent: number): number => limitScale(coveringScale(extent, largest), largest);
  return encodeGroups(where, w, shape, table, () => scaleOf);
}

export const tableTask = /* @__PURE__ */ rowTask("table", tableCodes);

/** As `tableCodes`, whose rows are independent. */
export function tableInParts(
  where: string,
  w: Float32Array,
  given: GroupShape,
  table: ArrayLike<number>,
): Steps<TableCodes> {
  const { rows, cols, groupSize } = given;
  const shape = { rows, cols, groupSize };
  return inParts(tableTask, {
    units: rows,
    time: w.length * 5e-5,
    part: (begin, end) => ({ where, ...rowsOf(w, shape, begin, end), options: Array.from(table) }),
    join: (parts) => ({
      codes: joinRows(parts.map(({ codes }) => codes)),
      scales: joinRows(parts.map(({ scales }) => scales)),
    }),
  });
}

/**
 * MXFP4: E2M1 with a power of two a group (OCP Microscaling Formats 1.0, 6.3; its groups have 32 columns). The published
 * scale is 2^max(floor(log2 max|w|) - 2, -127), also for a group of zeros; codes round half to even and saturate, so that
 * weights above 6 times it (up to 8) become 6. The scales here are half of it: they belong to E2M1_DOUBLED.
 *
 * @param w [rows, cols] row-major
 * @throws TypeError, RangeError for a wrong argument or NaN or Infinity in w (its index is named)
 */
export function mxfp4Codes(where: string, w: Float32Array, shape: GroupShape): Steps<TableCodes> {
  const float = new Float32Array(1);
  const bits = new Uint32Array(float.buffer);
  const scaleOf = (extent: number): number => {
    float[0] = extent;
    // The exponent field of a float32 is floor(log2) + 127; 0 stands for less than any scale can follow.
    const exponent = Math.max(((bits[0] as number) >>> 23) - 127 - 2, -127);
    return 2 ** (exponent - 1);
  };
  return encodeGroups(where, w, shape, E2M1_DOUBLED, () => scaleOf);
}

/**
 * NVFP4: E2M1 with an E4M3 scale a group (of 16 columns) and a float32 scale of the matrix, g = fround(max|W| / 2688), where
 * 2688 = 6 · 448 is the largest weight that the two can express. A group's byte is the E4M3 nearest to max|w| / (6 g), half
 * to even, at least 2^-9 unless the group is zero. The scales here are fround(E4M3 · g / 2): they belong to E2M1_DOUBLED.
 *
 * @param w [rows, cols] row-major
 * @throws TypeError, RangeError for a wrong argument or NaN or Infinity in w (its index is named)
 */
export function nvfp4Codes(where: string, w: Float32Array, shape: GroupShape): Steps<TableCodes> {
  return encodeGroups(where, w, shape, E2M1_DOUBLED, () => {
    const global = limitScale(float32Scale(absMax(w, 0, w.length), 2688), 2688);
    const nearest = makeNearest(Array.from({ length: 127 }, (_, byte) => e4m3Value(byte)));
    return (extent) => {
      if (extent === 0) return 0;
      const byte = Math.max(nearest(extent / (6 * global)), 1);
      return limitScale(float32Scale(e4m3Value(byte) * global, 2), 12);
    };
  });
}

function* encodeGroups(
  where: string,
  w: Float32Array,
  shape: GroupShape,
  table: ArrayLike<number>,
  makeScaleOf: () => (extent: number) => number,
): Steps<TableCodes> {
  const { rows, cols } = shape;
  checkWeights(where, w, shape);
  const scaleOf = makeScaleOf();
  const nearest = makeNearest(table);
  const groupSize = Math.min(shape.groupSize, cols);
  const codes = new Uint8Array(w.length);
  const scales = new Float32Array(rows * Math.ceil(cols / groupSize));
  let work = 0;
  for (let group = 0, start = 0; start < w.length; group++) {
    const end = start + Math.min(groupSize, cols - (start % cols));
    const scale = scaleOf(absMax(w, start, end));
    scales[group] = scale;
    // A group of zeros may have scale 0.
    const divisor = scale === 0 ? 1 : scale;
    for (let i = start; i < end; i++) codes[i] = nearest((w[i] as number) / divisor);
    work += end - start;
    start = end;
    if (work >= STEP) {
      work = 0;
      yield start / w.length;
    }
  }
  return { codes, scales };
}

function absMax(w: Float32Array, start: number, end: number): number {
  let largest = 0;
  for (let i = start; i < end; i++) {
    const v = Math.abs(w[i] as number);
    if (v > largest) largest = v;
  }
  return largest;
}

function checkTable(where: string, table: ArrayLike<number>): number {
  if (!(table?.length >= 2 && table.length <= 256)) {
    throw rangeError(where, "2 to 256 numbers", table?.length === undefined ? table : `${table.length}`);
  }
  let largest = 0;
  for (let i = 0; i < table.length; i++) {
    const v = table[i] as number;
    if (!Number.isFinite(Math.fround(v))) throw rangeError(where, "finite numbers", `${v} at index ${i}`);
    largest = Math.max(largest, Math.abs(v));
  }
  if (largest === 0) throw rangeError(where, "a number that is not 0", "zeros");
  return largest;
}

/** Pieces of a line: few hold more than one middle of a table. */
const PIECES = 512;

/** The code of the entry nearest to a number; see `tableCodes` for ties. */
function makeNearest(table: ArrayLike<number>): (x: number) => number {
  const order = Array.from(table, (value, code) => ({ value, code }))
    .sort((a, b) => a.value - b.value || a.code - b.code)
    .filter(({ value }, i, all) => i === 0 || value !== all[i - 1]?.value);
  const codes = Uint8Array.from(order, ({ code }) => code);
  const middles = new Float64Array(order.length).fill(Number.POSITIVE_INFINITY);
  const upwards = new Uint8Array(order.length);
  for (let i = 0; i + 1 < order.length; i++) {
    const below = order[i] as { value: number; code: number };
    const above = order[i + 1] as { value: number; code: number };
    middles[i] = (below.value + above.value) / 2;
    const parity = (below.code & 1) - (above.code & 1);
    upwards[i] = parity > 0 || (parity === 0 && above.code < below.code) ? 1 : 0;
  }
  // A search by halves would guess a branch wrong twice for each weight. So the line from the first middle to the last is
  // cut into pieces, and the search starts at the first middle that is not in a lower piece. However the piece of a number
  // is rounded, a larger number is never in a lower one.
  const low = middles[0] as number;
  const high = middles[Math.max(0, order.length - 2)] as number;
  const factor = high > low ? (PIECES - 2) / (high - low) : 0;
  const pieceOf = (x: number): number => (x < low ? 0 : x > high ? PIECES - 1 : 1 + Math.floor((x - low) * factor));
  const first = new Uint8Array(PIECES);
  for (let i = 0; i + 1 < order.length; i++) {
    const piece = pieceOf(middles[i] as number);
    for (let later = piece + 1; later < PIECES; later++) first[later] = i + 1;
  }
  return (x) => {
    let at = first[pieceOf(x)] as number;
    while (x > (middles[at] as number)) at++;
    if (x === middles[at]) at += upwards[at] as number;
    return codes[at] as number;
  };
}
