import { blockColumns, type Lut8Block, prepareInt8, prepareLut8 } from "./activation.ts";
import { signPlaneBytes, tileRows, tileScales } from "./layout.ts";
import { expandScales } from "./weights.ts";

const f32 = Math.fround;

export interface Complex<A extends Float32Array | Float64Array = Float32Array> {
  re: A;
  im: A;
}

/** s · i^code, where s is scales.re for an even code and scales.im for an odd one. */
export interface ComplexPlane {
  /** [rows, cols] of 0 to 3 */
  codes: Uint8Array;
  /** [rows, groups] */
  scales: Complex;
  /** y = W x, W conj(x) or conj(W) x */
  conjugate: "none" | "x" | "w";
}

/** The sum of its planes. */
export interface ComplexWeights {
  rows: number;
  cols: number;
  groupSize: number;
  groups: number;
  planes: ComplexPlane[];
}

const powersOfI = [
  [1, 0],
  [0, 1],
  [-1, 0],
  [0, -1],
] as const;

const reOf = (code: number): number => (powersOfI[code] as readonly [number, number])[0];
const imOf = (code: number): number => (powersOfI[code] as readonly [number, number])[1];

/** Scales of a matrix [1], of rows [rows], of groups [rows, groups], or of `tiles` of columns [groups]. */
export function makeComplex(parts: {
  rows: number;
  cols: number;
  groupSize?: number | undefined;
  tiles?: boolean;
  planes: { codes: Uint8Array; scales: Complex; conjugate?: ComplexPlane["conjugate"] }[];
}): ComplexWeights {
  const { rows, cols, tiles = false } = parts;
  const groupSize = Math.min(parts.groupSize ?? cols, cols);
  const groups = Math.ceil(cols / groupSize);
  const expand = (scales: Float32Array): Float32Array =>
    tiles
      ? Float32Array.from({ length: rows * groups }, (_, i) => scales[i % groups] as number)
      : expandScales(scales, rows, groups);
  const planes = parts.planes.map(({ codes, scales, conjugate = "none" }) => ({
    codes,
    scales: { re: expand(scales.re), im: expand(scales.im) },
    conjugate,
  }));
  return { rows, cols, groupSize, groups, planes };
}

/** A weight of one plane, not conjugated. */
export function complexAt(weights: ComplexWeights, plane: ComplexPlane, row: number, col: number): [number, number] {
  const code = plane.codes[row * weights.cols + col] as number;
  const group = row * weights.groups + Math.floor(col / weights.groupSize);
  return [reOf(code) * (plane.scales.re[group] as number), imOf(code) * (plane.scales.im[group] as number)];
}

/** The code by the angle in units of 45 degrees: 1, 3, -1 and -3 are the borders. */
export function phaseCode(re: number, im: number, ties: "sector" | "imaginary"): number {
  // Adding 0 makes -0 into 0, so that the angle is 0 at 0 and not 180 degrees.
  const angle = Math.atan2(im + 0, re + 0) / (Math.PI / 4);
  // Next to a border of float32 values the ratio of the parts is 2^-24 away from 1.
  const border = Math.abs(angle - Math.round(angle)) < 1e-9 && Math.round(angle) % 2 !== 0;
  if (ties === "imaginary" && (border || (re === 0 && im === 0))) return im < 0 ? 3 : 1;
  const sector = Math.floor(((border ? Math.round(angle) : angle) + 1) / 2);
  return (sector + 4) % 4;
}

/**
 * Codes, and the mean magnitude of the real and of the imaginary ones of each region, no less than the smallest float32. Zeros alone, or
 * nothing, have `least` times the largest part of a weight that is given, 1 if that is more, or `least` if that is 0 itself.
 */
export function quantizePhase(
  w: Complex,
  rows: number,
  cols: number,
  options: {
    groupSize?: number;
    scale: "matrix" | "row" | "tile";
    ties: "sector" | "imaginary";
    least: number;
    extent?: number;
  },
): { codes: Uint8Array; scales: Complex } {
  const { groupSize = cols, scale, ties, least } = options;
  const groups = Math.ceil(cols / groupSize);
  const codes = Uint8Array.from(w.re, (re, i) => phaseCode(re, w.im[i] as number, ties));
  const regions = { matrix: 1, row: rows * groups, tile: groups }[scale];
  const regionOf = (i: number): number => {
    const group = Math.floor((i % cols) / groupSize);
    return { matrix: 0, row: Math.floor(i / cols) * groups + group, tile: group }[scale];
  };
  const lists = Array.from({ length: regions }, () => ({ re: [] as number[], im: [] as number[] }));
  codes.forEach((code, i) => {
    const part = code % 2 === 0 ? "re" : "im";
    lists[regionOf(i)]?.[part].push(Math.abs(w[part][i] as number));
  });
  const parts = [...w.re, ...w.im].map(Math.abs);
  const { extent = parts.reduce((most, v) => Math.max(most, v), 0) } = options;
  const empty = extent === 0 ? least : least * Math.min(1, extent);
  const scaleOf = (list: number[]): number => {
    const some = list.filter((v) => v > 0);
    const scale = some.length === 0 ? empty : some.reduce((sum, v) => sum + v, 0) / list.length;
    return scale > 0 ? Math.max(scale, 2 ** -149) : 0;
  };
  return {
    codes,
    scales: {
      re: Float32Array.from(lists, ({ re }) => scaleOf(re)),
      im: Float32Array.from(lists, ({ im }) => scaleOf(im)),
    },
  };
}

/** U and W [rows / 2, cols / 2] of a real matrix, in float64. */
export function splitReal(
  a: ArrayLike<number>,
  rows: number,
  cols: number,
): { u: Complex<Float64Array>; w: Complex<Float64Array> } {
  const half = { rows: rows / 2, cols: cols / 2 };
  const block = (down: 0 | 1, right: 0 | 1, i: number): number => {
    const row = Math.floor(i / half.cols) + down * half.rows;
    return a[row * cols + (i % half.cols) + right * half.cols] as number;
  };
  const each = (value: (i: number) => number): Float64Array =>
    Float64Array.from({ length: half.rows * half.cols }, (_, i) => value(i));
  return {
    u: {
      re: each((i) => (block(0, 0, i) + block(1, 1, i)) / 2),
      im: each((i) => (block(1, 0, i) - block(0, 1, i)) / 2),
    },
    w: {
      re: each((i) => (block(0, 0, i) - block(1, 1, i)) / 2),
      im: each((i) => (block(0, 1, i) + block(1, 0, i)) / 2),
    },
  };
}

/** A11 = Wr + Ur, A12 = Wi - Ui, A21 = Wi + Ui, A22 = Ur - Wr, in float64; rows and cols are those of A. */
export function joinReal(
  u: Complex<Float32Array | Float64Array>,
  w: Complex<Float32Array | Float64Array>,
  rows: number,
  cols: number,
): Float64Array {
  return Float64Array.from({ length: rows * cols }, (_, at) => {
    const [row, col] = [Math.floor(at / cols), at % cols];
    const [down, right] = [row >= rows / 2, col >= cols / 2];
    const i = (row % (rows / 2)) * (cols / 2) + (col % (cols / 2));
    const [ur, ui, wr, wi] = [u.re[i], u.im[i], w.re[i], w.im[i]] as [number, number, number, number];
    if (down) return right ? ur - wr : wi + ui;
    return right ? wi - ui : wr + ur;
  });
}

/** What a stage leaves is rounded to float32, as U and W are. */
export function quantizeFairy2i(
  a: Float32Array,
  rows: number,
  cols: number,
  count: number,
  ties: "sector" | "imaginary",
): Record<"u" | "w", { codes: Uint8Array; scales: Complex }>[] {
  const { u, w } = splitReal(a, rows, cols);
  const extent = Math.max(...a.map(Math.abs));
  const rest = [u, w].map(({ re, im }) => ({ re: Float32Array.from(re), im: Float32Array.from(im) }));
  return Array.from({ length: count }, () => {
    const [first, second] = rest.map((matrix) => {
      const found = quantizePhase(matrix, rows / 2, cols / 2, { scale: "matrix", ties, least: 1e-6, extent });
      found.codes.forEach((code, i) => {
        matrix.re[i] = f32((matrix.re[i] as number) - reOf(code) * (found.scales.re[0] as number));
        matrix.im[i] = f32((matrix.im[i] as number) - imOf(code) * (found.scales.im[0] as number));
      });
      return found;
    }) as [ReturnType<typeof quantizePhase>, ReturnType<typeof quantizePhase>];
    return { u: first, w: second };
  });
}

/** The planes of y = (Σ U) x + (Σ W) conj(x), in the order in which they are summed; rows and cols of the real matrix. */
export function fairy2iWeights(
  stages: readonly Record<"u" | "w", { codes: Uint8Array; scales: Complex }>[],
  rows: number,
  cols: number,
  groupSize?: number,
  tiles = false,
): ComplexWeights {
  const planes = stages.flatMap(({ u, w }) => [
    { ...u, conjugate: "none" as const },
    { ...w, conjugate: "x" as const },
  ]);
  return makeComplex({ rows: rows / 2, cols: cols / 2, groupSize, tiles, planes });
}

/** x[:n/2] + i x[n/2:] */
export function foldReal(x: Float32Array): Complex {
  return { re: x.slice(0, x.length / 2), im: x.slice(x.length / 2) };
}

/** y in float64, x as it is. */
export function gemvComplexExact(
  weights: ComplexWeights,
  x: Complex<Float32Array | Float64Array>,
): Complex<Float64Array> {
  const { rows, cols, groupSize, groups, planes } = weights;
  const y = { re: new Float64Array(rows), im: new Float64Array(rows) };
  for (let row = 0; row < rows; row++) {
    let [re, im] = [0, 0];
    for (const { codes, scales, conjugate } of planes) {
      for (let col = 0; col < cols; col++) {
        const code = codes[row * cols + col] as number;
        const group = row * groups + Math.floor(col / groupSize);
        const wr = reOf(code) * (scales.re[group] as number);
        const wi = imOf(code) * (scales.im[group] as number);
        const a = x.re[col] as number;
        const b = x.im[col] as number;
        const c = conjugate === "w" ? -wi : wi;
        const d = conjugate === "x" ? -b : b;
        re += wr * a - c * d;
        im += wr * d + c * a;
      }
    }
    y.re[row] = re;
    y.im[row] = im;
  }
  return y;
}

/** Sums of Re(w) a, Im(w) b, Re(w) b and Im(w) a over columns. */
interface Sums {
  a: number;
  b: number;
  c: number;
  d: number;
}

/** The scales of a = Re x and of b = Im x. */
interface Factors {
  a: number;
  b: number;
  inverseA: number;
  inverseB: number;
}

const signs = {
  none: { b: -1, c: 1, d: 1 },
  x: { b: 1, c: -1, d: 1 },
  w: { b: 1, c: 1, d: -1 },
} as const;

/**
 * Four float32 sums a row over planes and what a plane is divided into, each of an exact integer times its scale; then
 * the factors of x. `group` is the one whose scales apply.
 */
function combine(
  weights: ComplexWeights,
  parts: (plane: ComplexPlane, row: number) => { group: number; sums: Sums }[],
  factors: Factors,
): Complex {
  const { rows, groups, planes } = weights;
  const y = { re: new Float32Array(rows), im: new Float32Array(rows) };
  const last = (sum: number, factor: number, inverse: number): number => f32(f32(sum * factor) * inverse);
  for (let row = 0; row < rows; row++) {
    const total: Sums = { a: 0, b: 0, c: 0, d: 0 };
    for (const plane of planes) {
      const sign = signs[plane.conjugate];
      for (const { group, sums } of parts(plane, row)) {
        const re = plane.scales.re[row * groups + group] as number;
        const im = plane.scales.im[row * groups + group] as number;
        total.a = f32(total.a + f32(f32(sums.a) * re));
        total.b = f32(total.b + sign.b * f32(f32(sums.b) * im));
        total.c = f32(total.c + sign.c * f32(f32(sums.c) * re));
        total.d = f32(total.d + sign.d * f32(f32(sums.d) * im));
      }
    }
    const { a, b, inverseA, inverseB } = factors;
    y.re[row] = f32(last(total.a, a, inverseA) + last(total.b, b, inverseB));
    y.im[row] = f32(last(total.c, b, inverseB) + last(total.d, a, inverseA));
  }
  return y;
}

/**
 * Exact integers within a group of columns, then `combine`: planes in order, groups in order within each.
 *
 * @param together Re x and Im x are quantised as one vector, with one scale
 */
export function gemvComplexInt8(weights: ComplexWeights, x: Complex, together = false): Complex {
  const { cols, groupSize, groups } = weights;
  const both = prepareInt8(Float32Array.from([...x.re, ...x.im]));
  const a = together ? { q: both.q.slice(0, cols), scale: both.scale } : prepareInt8(x.re);
  const b = together ? { q: both.q.slice(cols), scale: both.scale } : prepareInt8(x.im);
  const parts = (plane: ComplexPlane, row: number): { group: number; sums: Sums }[] =>
    Array.from({ length: groups }, (_, group) => {
      const sums: Sums = { a: 0, b: 0, c: 0, d: 0 };
      for (let col = group * groupSize; col < Math.min(cols, (group + 1) * groupSize); col++) {
        const code = plane.codes[row * cols + col] as number;
        const qa = a.q[col] as number;
        const qb = b.q[col] as number;
        const re = reOf(code);
        const im = imOf(code);
        sums.a += re * qa;
        sums.b += im * qb;
        sums.c += re * qb;
        sums.d += im * qa;
      }
      return { group, sums };
    });
  return combine(weights, parts, { a: a.scale, b: b.scale, inverseA: 1, inverseB: 1 });
}

/** Turned by 45 degrees a weight is two signs: Re i^code = (s + t) / 2, Im i^code = (t - s) / 2. */
const turned = { s: (code: number): boolean => code === 0 || code === 3, t: (code: number): boolean => code < 2 };

/** Σ over blocks of weight · entry, where bit i of the pattern says whether the sign of column i of four is plus. */
function lookUp(blocks: readonly Lut8Block[], isPlus: (col: number) => boolean): number {
  let sum = 0;
  for (const { start, length, weight, entries } of blocks) {
    for (let k = 0; k < length; k += 4) {
      let pattern = 0;
      for (let i = 0; i < 4; i++) if (isPlus(start + k + i)) pattern += 1 << i;
      sum += weight * (entries[k * 4 + pattern] as number);
    }
  }
  return sum;
}

/** Exact integers within a segment of a group, then `combine`. Each is twice the sum, for which the unit is halved. */
export function gemvComplexLut8(weights: ComplexWeights, x: Complex): Complex {
  const { cols, groupSize } = weights;
  // Blocks of a real row of twice the columns.
  const size = blockColumns(2 * Math.ceil(cols / 8) * 8);
  const a = prepareLut8(x.re, groupSize, size);
  const b = prepareLut8(x.im, groupSize, size);
  const parts = (plane: ComplexPlane, row: number): { group: number; sums: Sums }[] =>
    a.segments.map(({ group, blocks }, segment) => {
      const others = b.segments[segment]?.blocks as Lut8Block[];
      const sum = (of: readonly Lut8Block[], sign: (code: number) => boolean): number =>
        lookUp(of, (col) => col < cols && sign(plane.codes[row * cols + col] as number));
      const [p, q] = [sum(blocks, turned.s), sum(blocks, turned.t)];
      const [r, s] = [sum(others, turned.s), sum(others, turned.t)];
      return { group, sums: { a: p + q, b: s - r, c: r + s, d: q - p } };
    });
  return combine(weights, parts, {
    a: f32(a.unit * 0.5),
    b: f32(b.unit * 0.5),
    inverseA: a.inversePower,
    inverseB: b.inversePower,
  });
}

/**
 * The stored bytes: of each plane the signs s, then t, tile by tile; then of each plane the scales s_re, then s_im. Scales
 * that all rows share (`shared`) are stored as if there were one tile of 64 rows, each of which has them.
 */
export function complexBytes(weights: ComplexWeights, shared: boolean): Uint8Array {
  const { rows, cols, groups, planes } = weights;
  const signs = planes.flatMap(({ codes }) => [
    Int8Array.from(codes, (code) => (turned.s(code) ? 1 : -1)),
    Int8Array.from(codes, (code) => (turned.t(code) ? 1 : -1)),
  ]);
  const scales = planes.flatMap(({ scales: { re, im } }) => [re, im]);
  const stored = scales.flatMap((values) => {
    if (!shared) return Array.from(tileScales({ rows, groups, scales: values }));
    return Array.from({ length: groups * tileRows }, (_, i) => values[Math.floor(i / tileRows)] as number);
  });
  const floats = new Uint8Array(Float32Array.from(stored).buffer);
  return Uint8Array.from([...signPlaneBytes(signs, rows, cols), ...floats]);
}
