// Nearest codewords of E8P and E81B without a search over all of them: within a class of absolute rows that all
// permutations of belong to it, the nearest gives large entries to large coordinates (rearrangement inequality), and where
// the signs have the wrong parity it is the smallest coordinate, which has a ½, whose sign is given up.
import { inParts, joinRows, type PartTask } from "../../lib/parts.ts";
import type { Steps } from "../../lib/progress.ts";
import type { Quantizer } from "../../numeric/gptq.ts";
import { float32Scale } from "../../numeric/scale.ts";
import { type MatrixShape, STEP_WEIGHTS } from "../../numeric/shape.ts";
import { inverse, storedE81b } from "./bytes.ts";
import { absoluteRows, E8_COLS, e8pEntries, e81bEntries, isOdd } from "./tables.ts";

/** The residual of a 3-bit code is scaled by this for E81B, that of a 4-bit one for a second E8P (QuIP#). */
export const RESIDUAL_SCALE = { 3: 2.04, 4: 3.45 } as const;

/** The first row of norm² 12: not all permutations of these are there. */
const FIRST_TWELVE = 227;
const SIZE = E8_COLS;

interface Tables {
  /** Row by the mask of its entries 3/2, for rows without a 5/2. */
  readonly byMask: Int16Array;
  /** Row by 8 · (column of the 5/2) + column of the 3/2, or the same column. */
  readonly byFive: Int16Array;
  /** Columns of the three ½s of the rows of norm² 12. */
  readonly halves: readonly (readonly [number, number, number])[];
  /** Sign bits of a mask of columns. */
  readonly bits: Uint8Array;
  readonly entries: Int8Array;
}

let tables: Tables | undefined;
function makeTables(): Tables {
  if (tables) return tables;
  const rows = absoluteRows();
  const byMask = new Int16Array(256).fill(-1);
  const byFive = new Int16Array(64).fill(-1);
  const halves: [number, number, number][] = [];
  for (let row = 0; row < 256; row++) {
    const v = Array.from(rows.subarray(row * SIZE, (row + 1) * SIZE));
    const five = v.indexOf(5);
    const three = v.indexOf(3);
    if (five >= 0) byFive[8 * five + (three < 0 ? five : three)] = row;
    else byMask[v.reduce((mask, x, col) => mask | (x > 1 ? 1 << col : 0), 0)] = row;
    const small = v.flatMap((x, col) => (x === 1 ? [col] : []));
    if (row >= FIRST_TWELVE) halves.push(small as [number, number, number]);
  }
  const bits = Uint8Array.from({ length: 256 }, (_, mask) => {
    return [0, 2, 4, 6, 1, 3, 5, 7].reduce((sum, col, k) => sum | (((mask >> col) & 1) << k), 0);
  });
  tables = { byMask, byFive, halves, bits, entries: e8pEntries() };
  return tables;
}

/** Finds codes; holds the working space of one search. */
export class E8pEncoder {
  readonly #tables = makeTables();
  readonly #low = lowTable();
  readonly #lowEntries = e81bEntries();
  readonly #size = new Float64Array(SIZE);
  readonly #order = new Uint8Array(SIZE);
  #score = 0;
  #code = 0;

  /** The code nearest to v[at..at + 8). */
  e8p(v: Float64Array, at: number): number {
    this.#score = Number.NEGATIVE_INFINITY;
    this.#shifted(v, at, 0);
    this.#shifted(v, at, 1);
    return this.#code;
  }

  /** v[at..at + 8) = (v - the weights of an E8P code) · factor. */
  subtractE8p(v: Float64Array, at: number, code: number, factor: number): void {
    const { entries } = this.#tables;
    for (let k = 0; k < SIZE; k++) {
      v[at + k] = ((v[at + k] as number) - (entries[SIZE * code + k] as number) / 4) * factor;
    }
  }

  subtractE81b(v: Float64Array, at: number, code: number, factor: number): void {
    const entries = this.#lowEntries;
    for (let k = 0; k < SIZE; k++) {
      v[at + k] = ((v[at + k] as number) - (entries[SIZE * code + k] as number) / 2) * factor;
    }
  }

  // Sorts the sizes of v -+ 1/4, the largest first. Returns the mask of negative columns.
  #sort(v: Float64Array, at: number, shift: number): number {
    const size = this.#size;
    const order = this.#order;
    let negative = 0;
    for (let col = 0; col < SIZE; col++) {
      const t = (v[at + col] as number) - shift;
      if (t < 0) negative |= 1 << col;
      const m = Math.abs(t);
      let i = col;
      for (; i > 0 && (size[i - 1] as number) < m; i--) {
        size[i] = size[i - 1] as number;
        order[i] = order[i - 1] as number;
      }
      size[i] = m;
      order[i] = col;
    }
    return negative;
  }

  // Codes of one shift (1: -1/4). Scores are |v|² - distance², so that they compare.
  #shifted(v: Float64Array, at: number, p: 0 | 1): void {
    const shift = p ? -0.25 : 0.25;
    const negative = this.#sort(v, at, shift);
    const size = this.#size;
    const order = this.#order;
    const { byMask, byFive, halves } = this.#tables;
    let odd = 0;
    for (let bits = negative; bits !== 0; bits &= bits - 1) odd ^= 1;
    let sum = 0;
    let squares = 0;
    let total = 0;
    for (let i = 0; i < SIZE; i++) {
      const m = size[i] as number;
      sum += m;
      squares += m * m;
      total += (v[at + i] as number) * (v[at + i] as number);
    }
    const smallest = size[SIZE - 1] as number;
    const last = order[SIZE - 1] as number;
    const base = total - squares;
    // 2 Σ v·m - Σ v², from v = ½ everywhere on.
    let best = this.#score;
    let row = -1;
    let flip = 0;
    let add = 0;
    let mask = 0;
    for (let ones = 0; ones <= 4; ones++) {
      const wrong = odd !== (ones & 1);
      const score = base + sum + 2 * add - 2 - 2 * ones - (wrong ? 2 * smallest : 0);
      if (score > best) {
        best = score;
        row = byMask[mask] as number;
        flip = wrong ? 1 << last : 0;
      }
      if (ones < 2) {
        const first = order[0] as number;
        const second = ones === 0 ? first : (order[1] as number);
        const more = base + sum + 4 * (size[0] as number) + (ones ? 2 * (size[1] as number) : 0) - 8 - 2 * ones;
        const five = more - (wrong ? 2 * smallest : 0);
        if (five > best) {
          best = five;
          row = byFive[8 * first + second] as number;
          flip = wrong ? 1 << last : 0;
        }
      }
      add += size[ones] as number;
      mask |= 1 << (order[ones] as number);
    }
    // Five 3/2: no row is better than the five largest.
    if (base + sum + 2 * add - 12 - (odd ? 0 : 2 * smallest) > best) {
      for (const [i, [a, b, c]] of halves.entries()) {
        const ma = Math.abs((v[at + a] as number) - shift);
        const mb = Math.abs((v[at + b] as number) - shift);
        const mc = Math.abs((v[at + c] as number) - shift);
        let score = base + 3 * sum - 2 * (ma + mb + mc) - 12;
        let flipped = 0;
        if (!odd) {
          const least = Math.min(ma, mb, mc);
          // A sign given up costs 2·½ of a small entry, twice, or 2·3/2 of a large one.
          if (least <= 3 * smallest) {
            score -= 2 * least;
            flipped = 1 << (least === ma ? a : least === mb ? b : c);
          } else {
            score -= 6 * smallest;
            flipped = 1 << last;
          }
        }
        if (score > best) {
          best = score;
          row = FIRST_TWELVE + i;
          flip = flipped;
        }
      }
    }
    if (row < 0) return;
    this.#score = best;
    const signs = this.#tables.bits[negative ^ flip] as number;
    this.#code = (row << 8) | (signs ^ (isOddRow(row) ? 128 : 0) ^ p);
  }

  /** The E81B code nearest to v[at..at + 8). */
  e81b(v: Float64Array, at: number): number {
    const negative = this.#sort(v, at, 0);
    const size = this.#size;
    const order = this.#order;
    let odd = 0;
    for (let bits = negative; bits !== 0; bits &= bits - 1) odd ^= 1;
    let sum = 0;
    for (let i = 0; i < SIZE; i++) sum += size[i] as number;
    const axis = (i: number): number => {
      const col = order[i] as number;
      return col + ((negative >> col) & 1 ? 8 : 0);
    };
    // 2 Σ v·m - Σ v². A coordinate that is zero counts as positive.
    const halves = sum - (odd ? 2 * (size[SIZE - 1] as number) : 0) - 2;
    const pair = 2 * ((size[0] as number) + (size[1] as number)) - 2;
    const single = axis(0) === 15 ? 1 : 0;
    const double = 4 * (size[single] as number) - 4;
    const best = Math.max(0, halves, pair, double);
    if (best === halves) {
      const signs = negative ^ (odd ? 1 << (order[SIZE - 1] as number) : 0);
      return this.#low[128 | (~signs & 127)] as number;
    }
    if (best === pair) return this.#low[axes(axis(0), axis(1))] as number;
    if (best === double) return this.#low[axis(single)] as number;
    return this.#low[15] as number;
  }
}

/** The stored byte of two axes of E81B, which are neither the same nor opposite. */
function axes(a: number, b: number): number {
  const d = (b - a) & 15;
  return d < 8 ? (d << 4) | a : ((16 - d) << 4) | b;
}

let low: Uint16Array | undefined;
function lowTable(): Uint16Array {
  low ??= inverse(storedE81b());
  return low;
}

let oddRows: Uint8Array | undefined;
function isOddRow(row: number): boolean {
  oddRows ??= Uint8Array.from({ length: 256 }, (_, i) => (isOdd(i) ? 1 : 0));
  return oddRows[row] === 1;
}

/** Codes of 2, 3 or 4 bits; the residual of 3 bits is of E81B, that of 4 bits of E8P. */
export interface E8pFit {
  /** [rows, cols / 8] */
  readonly codes: Uint16Array;
  readonly residual: Uint16Array | undefined;
  /** What entries are multiplied by. */
  readonly scale: number;
}

/** The rms at which Gaussian weights are nearest to their codes, found by experiment: QuIP# has 1.03 for 2 bits. */
export const CODE_SCALE = { 2: 1.03, 3: 0.98, 4: 0.94 } as const;

/** rms(w) / codeScale: what codes that fit w best are multiplied by. */
export function e8pScale(w: Float32Array, codeScale: number): number {
  let power = 0;
  for (const value of w) power += value * value;
  // A quarter is stored, which must be a float32, too.
  return Math.fround(4 * float32Scale(Math.sqrt(power / w.length), 4 * codeScale));
}

/** Rounds 8 columns of a row at a time to scale · the nearest code, as lowbit/lattice takes it, and keeps the codes. */
export class E8pQuantizer implements Quantizer {
  readonly blockSize = SIZE;
  readonly fit: E8pFit;
  readonly #encoder = new E8pEncoder();
  readonly #bits: 2 | 3 | 4;
  readonly #units: number;
  readonly #inverse: number;
  readonly #rest = new Float64Array(SIZE);

  constructor({ rows, cols }: MatrixShape, bits: 2 | 3 | 4, scale: number) {
    this.#bits = bits;
    this.#units = cols / SIZE;
    this.#inverse = scale === 0 ? 0 : 1 / scale;
    const count = rows * this.#units;
    this.fit = { codes: new Uint16Array(count), residual: bits === 2 ? undefined : new Uint16Array(count), scale };
  }

  encode(row: number, col: number, values: Float64Array, out: Float64Array): void {
    const { codes, residual, scale } = this.fit;
    const bits = this.#bits;
    const encoder = this.#encoder;
    const rest = this.#rest;
    const at = row * this.#units + col / SIZE;
    for (let k = 0; k < SIZE; k++) rest[k] = (values[k] as number) * this.#inverse;
    const code = encoder.e8p(rest, 0);
    codes[at] = code;
    if (residual && bits !== 2) {
      encoder.subtractE8p(rest, 0, code, RESIDUAL_SCALE[bits]);
      const second = bits === 3 ? encoder.e81b(rest, 0) : encoder.e8p(rest, 0);
      residual[at] = second;
      if (bits === 3) encoder.subtractE81b(rest, 0, second, 1 / RESIDUAL_SCALE[bits]);
      else encoder.subtractE8p(rest, 0, second, 1 / RESIDUAL_SCALE[bits]);
    } else {
      encoder.subtractE8p(rest, 0, code, 1);
    }
    for (let k = 0; k < SIZE; k++) out[k] = (values[k] as number) - scale * (rest[k] as number);
  }
}

/**
 * Nearest codes of all weights.
 *
 * @param w [rows, cols], cols a multiple of 8
 */
function* e8pCodes(w: Float32Array, { rows, cols }: MatrixShape, quantizer: E8pQuantizer): Steps<void> {
  const v = new Float64Array(SIZE);
  const out = new Float64Array(SIZE);
  let left = STEP_WEIGHTS;
  for (let row = 0; row < rows; row++) {
    for (let col = 0; col < cols; col += SIZE) {
      v.set(w.subarray(row * cols + col, row * cols + col + SIZE));
      quantizer.encode(row, col, v, out);
      left -= SIZE;
      if (left > 0) continue;
      left = STEP_WEIGHTS;
      yield (row * cols + col) / w.length;
    }
  }
}

interface Args {
  readonly w: Float32Array;
  readonly cols: number;
  readonly bits: 2 | 3 | 4;
  readonly scale: number;
}

export const e8pTask: PartTask<Args, E8pFit> = {
  name: "e8p",
  *run({ w, cols, bits, scale }) {
    const shape = { rows: w.length / cols, cols };
    const quantizer = new E8pQuantizer(shape, bits, scale);
    yield* e8pCodes(w, shape, quantizer);
    return quantizer.fit;
  },
};

/** The codes of w [rows, cols], cols a multiple of 8, each 8 columns by themselves. */
export function e8pInParts(
  w: Float32Array,
  { rows, cols }: MatrixShape,
  bits: 2 | 3 | 4,
  scale: number,
): Steps<E8pFit> {
  return inParts(e8pTask, {
    units: rows,
    time: w.length * bits * 1e-4,
    part: (begin, end) => ({ w: w.subarray(begin * cols, end * cols), cols, bits, scale }),
    join: (parts) => ({
      codes: joinRows(parts.map(({ codes }) => codes)),
      residual: bits === 2 ? undefined : joinRows(parts.map(({ residual }) => residual as Uint16Array)),
      scale,
    }),
  });
}
