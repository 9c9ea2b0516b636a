// Codes of PVQ vectors that decode without division; assembly/pvq/README.md has the drawing, the algebra and the bounds.
//
// A vector of L columns is cut into leaves of 4. How the pulses are shared out among them is a combination; it owns pieces
// of the 2^32 codes, each 2^width long and as aligned. In a piece the numbers of the leaves are digits of a mixed radix.
import { type Layout, UNIT_COLS } from "../../matrix/layout.ts";
import { counts, indexOf, pyramidSize, writeVector } from "../../numeric/pyramid.ts";

/** Columns of a vector, and the most pulses it can have. */
export const VECTOR_SIZES = [8, 16] as const;
export type VectorSize = (typeof VECTOR_SIZES)[number];
/** As many leaves as numbers of 15 bits: Σ N(4, k) of k = 0 … 14 is 29961. Kernels rely on it for their bounds, too. */
export const MAX_PULSES = 14;

const LEAF = 4;
const LANES = 4;
/** The high bits of a code say in which piece it is: a piece is at least 2^20 codes. */
const SELECTOR_BITS = 12;
const MIN_WIDTH = 32 - SELECTOR_BITS;
const SELECTORS = 2 ** SELECTOR_BITS;
/** Tables in memory: pulses, offset of the leaves, columns of a vector; selectors; records; leaves. */
const HEADER_BYTES = 64;
const RECORDS_AT = HEADER_BYTES + 2 * SELECTORS;
const RECORD_BYTES = 32;
/** Multipliers are multiplied by the high 16 bits of a fraction. */
const FRACTION = 65536;
/** Of what a code is to be nearer to the middle of its place than exactness needs: float64 rounds in between. */
const MARGIN = 2 ** -16;
/** The leaf that is number 0 for kernels, which have 15 bits for it. */
const ORIGIN = 16384;

/** How one leaf is read off a code. */
interface Digit {
  /** Odd. The digit is -(radix - 1) / 2 … (radix - 1) / 2. */
  readonly radix: number;
  /** The product of the radices of the digits below it. */
  readonly weight: number;
  /** Number of the leaf = digit + shift. */
  readonly shift: number;
}

interface Piece {
  /** Lane of the digit of the largest weight, and which numbers of its leaf belong to this piece. */
  readonly first: number;
  readonly from: number;
  readonly end: number;
  readonly digits: readonly Digit[];
  /** Product of all radices. */
  readonly total: number;
  /** Radix of the last digit / 2^16: how far from the lower end of its place a code must be. */
  readonly guard: number;
  /** log2 of its codes. */
  readonly width: number;
}

interface Placed extends Piece {
  /** The first code. */
  readonly base: number;
}

/** Vectors of a leaf with k pulses. */
const leafSize = (k: number): number => pyramidSize(LEAF, k);

/** The smallest odd radix for n digits and cells left out at the lower end, so that `above` · radix <= 2^16 · cells. */
function guardedRadix(n: number, above: number): [radix: number, cells: number] {
  if (n === 1) return [1, 0];
  for (let cells = 1; ; cells++) {
    const radix = (n + cells) | 1;
    if (above * radix <= FRACTION * (radix - n)) return [radix, radix - n];
  }
}

/** The digits below the first, and what they leave of a piece. */
interface Below {
  readonly first: number;
  readonly digits: readonly Digit[];
  readonly rest: number;
  readonly guard: number;
}

function below(leaves: readonly number[], first: number): Below {
  const order = leaves.map((_, lane) => lane).filter((lane) => lane !== first && (leaves[lane] as number) > 0);
  order.sort((a, b) => (leaves[b] as number) - (leaves[a] as number) || a - b);
  const radices: number[] = leaves.map(() => 1);
  const cells: number[] = leaves.map(() => 0);
  let above = leafSize(leaves[first] as number) | 1;
  for (const lane of order) {
    const [radix, left] = guardedRadix(leafSize(leaves[lane] as number), above);
    radices[lane] = radix;
    cells[lane] = left;
    above = radix;
  }
  const digits: Digit[] = leaves.map(() => ({ radix: 1, weight: 1, shift: 0 }));
  let rest = 1;
  for (const lane of order.reverse()) {
    const radix = radices[lane] as number;
    digits[lane] = { radix, weight: rest, shift: (radix - 1) / 2 - (cells[lane] as number) };
    rest *= radix;
  }
  return { first, digits, rest, guard: above / FRACTION };
}

/** How many numbers of the first leaf a piece holds. */
function room({ rest, guard }: Below, width: number): number {
  return Math.floor((2 ** width * (1 - guard - MARGIN)) / rest);
}

/** The numbers of the first leaf in `count` pieces, the last of which may be larger than it need be. */
function split(leaves: readonly number[], parts: Below, count: number): Piece[] | undefined {
  const size = leafSize(leaves[parts.first] as number);
  const pieces: Piece[] = [];
  for (let from = 0; from < size; ) {
    const left = size - from;
    const last = pieces.length === count - 1;
    let width = last ? MIN_WIDTH : 32;
    if (last) while (width < 32 && room(parts, width) < (left | 1)) width++;
    else while (width > MIN_WIDTH && room(parts, width) > left) width--;
    // An odd radix: of an even number one is left for the next piece, or a place for none.
    const most = Math.min(left, room(parts, width));
    const n = most % 2 === 1 || most === left ? most : most - 1;
    const radix = n | 1;
    if (n < 1 || radix > room(parts, width) || (last && n < left)) return undefined;
    const digits = parts.digits.slice();
    digits[parts.first] = { radix, weight: parts.rest, shift: from + (radix - 1) / 2 };
    const { first, guard, rest } = parts;
    pieces.push({ first, from, end: from + n, digits, total: radix * rest, guard, width });
    from += n;
  }
  return pieces;
}

const codesOf = (pieces: readonly Piece[]): number => pieces.reduce((sum, { width }) => sum + 2 ** width, 0);

/** Ways to give a combination its codes, the fewest pieces first, each with fewer codes than those before. */
function ways(leaves: readonly number[]): Piece[][] {
  const found: Piece[][] = [];
  for (let count = 1; count <= 6; count++) {
    let best: Piece[] | undefined;
    for (let first = 0; first < leaves.length; first++) {
      if (leaves[first] === 0) continue;
      const pieces = split(leaves, below(leaves, first), count);
      if (pieces && (!best || codesOf(pieces) < codesOf(best))) best = pieces;
    }
    const before = found.at(-1);
    if (best && (!before || codesOf(best) < codesOf(before))) found.push(best);
  }
  return found;
}

function combinations(leaves: number, pulses: number): number[][] {
  if (leaves === 1) return [[pulses]];
  const all: number[][] = [];
  for (let k = 0; k <= pulses; k++) for (const rest of combinations(leaves - 1, pulses - k)) all.push([k, ...rest]);
  return all;
}

/** Pieces of each combination, placed; undefined if 2^32 codes are too few. */
function plan(size: number, pulses: number): { leaves: number[]; pieces: Placed[] }[] | undefined {
  const all = combinations(size / LEAF, pulses).map((leaves) => ({ leaves, ways: ways(leaves), chosen: 0 }));
  if (all.some((one) => one.ways.length === 0)) return undefined;
  const way = (one: (typeof all)[0], i = one.chosen): Piece[] => one.ways[i] as Piece[];
  let total = all.reduce((sum, one) => sum + codesOf(way(one)), 0);
  while (total > 2 ** 32) {
    let best: (typeof all)[0] | undefined;
    let choice = 0;
    let most = 0;
    for (const one of all) {
      for (let i = one.chosen + 1; i < one.ways.length; i++) {
        const saved = codesOf(way(one)) - codesOf(way(one, i));
        const gain = saved / (way(one, i).length - way(one).length);
        if (gain <= most) continue;
        [best, choice, most] = [one, i, gain];
      }
    }
    if (!best) return undefined;
    total += codesOf(way(best, choice)) - codesOf(way(best));
    best.chosen = choice;
  }
  // The widest first: then each begins at a multiple of its width.
  const bases = new Map<Piece, number>();
  let base = 0;
  for (const piece of all.flatMap((one) => way(one)).sort((a, b) => b.width - a.width)) {
    bases.set(piece, base);
    base += 2 ** piece.width;
  }
  return all.map((one) => ({
    leaves: one.leaves,
    pieces: way(one).map((piece) => ({ ...piece, base: bases.get(piece) as number })),
  }));
}

/** Codes of vectors of `size` columns and Σ |y| = `pulses`. */
export class PvqCode {
  readonly size: VectorSize;
  readonly pulses: number;
  /** What kernels read, but for its place in memory. */
  readonly tables: Uint8Array;
  /** By the pulses of all leaves but the last. */
  readonly #pieces = new Map<number, readonly Placed[]>();
  readonly #selectors: Uint16Array;
  readonly #records: Int32Array;
  readonly #leaves: Int8Array;
  readonly #counts: Float64Array;
  readonly #sums = new Uint8Array(LANES);

  private constructor(size: VectorSize, pulses: number, combos: NonNullable<ReturnType<typeof plan>>) {
    this.size = size;
    this.pulses = pulses;
    this.#counts = counts(LEAF, pulses);
    const starts = [0];
    for (let k = 0; k <= pulses; k++) starts.push((starts[k] as number) + leafSize(k));
    const count = combos.reduce((sum, { pieces }) => sum + pieces.length, 0);
    const leavesAt = RECORDS_AT + count * RECORD_BYTES;
    // Codes that no vector has, as a file may hold them, lead to one leaf behind the last at most: radices are odd.
    this.tables = new Uint8Array(leavesAt + LEAF * ((starts[pulses + 1] as number) + 1));
    const { buffer } = this.tables;
    new Int32Array(buffer, 0, 3).set([pulses, leavesAt, size]);
    this.#selectors = new Uint16Array(buffer, HEADER_BYTES, SELECTORS).fill(RECORDS_AT);
    this.#records = new Int32Array(buffer, RECORDS_AT, (count * RECORD_BYTES) / 4);
    this.#leaves = new Int8Array(buffer, leavesAt);
    for (let k = 0; k <= pulses; k++) {
      for (let i = 0; i < leafSize(k); i++) {
        const at = LEAF * ((starts[k] as number) + i);
        writeVector(i, LEAF, k, this.#leaves, at);
        for (let c = at; c < at + LEAF; c++) this.#leaves[c] = (this.#leaves[c] as number) + pulses;
      }
    }
    let record = 0;
    for (const { leaves, pieces } of combos) {
      const key = leaves.slice(0, -1).reduce((sum, k) => sum * (MAX_PULSES + 1) + k, 0);
      this.#pieces.set(key, pieces);
      for (const { digits, total, width, base } of pieces) {
        for (const [lane, { radix, weight, shift }] of digits.entries()) {
          const at = (record * RECORD_BYTES) / 4 + lane;
          const first = (starts[leaves[lane] as number] as number) + shift;
          this.#records[at] = (total / weight / radix) * 2 ** (32 - width);
          this.#records[at + LANES] = (radix << 16) | (-(2 * (first - ORIGIN) + 1) & 0xffff);
        }
        const from = base / 2 ** MIN_WIDTH;
        this.#selectors.fill(RECORDS_AT + record * RECORD_BYTES, from, from + 2 ** (width - MIN_WIDTH));
        record++;
      }
    }
  }

  /** Undefined where the codes of a vector do not fit 32 bits. */
  static make(size: VectorSize, pulses: number): PvqCode | undefined {
    const combos = pyramidSize(size, pulses) <= 2 ** 32 ? plan(size, pulses) : undefined;
    return combos && new PvqCode(size, pulses, combos);
  }

  /** The stored code of the vector y[at .. at + size). */
  encode(y: ArrayLike<number>, at: number): number {
    const lanes = this.size / LEAF;
    const leaves = this.#sums;
    let key = 0;
    for (let lane = 0, i = at; lane < lanes; lane++) {
      let sum = 0;
      for (const end = i + LEAF; i < end; i++) sum += Math.abs(y[i] as number);
      leaves[lane] = sum;
      if (lane < lanes - 1) key = key * (MAX_PULSES + 1) + sum;
    }
    const pieces = this.#pieces.get(key) as readonly Placed[];
    const width = this.pulses + 1;
    const { first } = pieces[0] as Placed;
    const leading = indexOf(y, at + LEAF * first, LEAF, leaves[first] as number, this.#counts, width);
    let i = 0;
    while (leading >= (pieces[i] as Placed).end) i++;
    const piece = pieces[i] as Placed;
    let cell = 0;
    for (let lane = 0; lane < lanes; lane++) {
      const { weight, shift } = piece.digits[lane] as Digit;
      const number =
        lane === first ? leading : indexOf(y, at + LEAF * lane, LEAF, leaves[lane] as number, this.#counts, width);
      cell += weight * (number - shift);
    }
    const codes = 2 ** piece.width;
    const local = Math.round(((cell + piece.guard / 2) / piece.total) * codes);
    return piece.base + (local < 0 ? local + codes : local);
  }

  /** The vector of a stored code, as kernels find it, to y[at .. at + size). */
  decode(code: number, y: { [i: number]: number }, at: number): void {
    const record = ((this.#selectors[code >>> MIN_WIDTH] as number) - RECORDS_AT) / 4;
    for (let lane = 0; lane < this.size / LEAF; lane++) {
      const fraction = Math.imul(code, this.#records[record + lane] as number) >> 16;
      const factors = this.#records[record + LANES + lane] as number;
      const leaf = ((fraction * (factors >> 16) - 32768 * ((factors << 16) >> 16)) >> 16) + ORIGIN;
      for (let i = 0; i < LEAF; i++) y[at + LEAF * lane + i] = (this.#leaves[LEAF * leaf + i] as number) - this.pulses;
    }
  }
}

const made = /* @__PURE__ */ new Map<number, PvqCode | undefined>();

/** The code of a size and number of pulses, made once; undefined where it does not fit 32 bits. */
export function pvqCode(size: VectorSize, pulses: number): PvqCode | undefined {
  const key = size * (MAX_PULSES + 1) + pulses;
  if (!made.has(key)) made.set(key, PvqCode.make(size, pulses));
  return made.get(key);
}

/** Writes the vector of columns from vector · size on of a row to y. */
export type VectorWriter = (row: number, vector: number, y: Int8Array) => void;

/** Codes [paddedRows][vectors], uint32. What is padding is the first vector of Fischer's order. */
export function writeVectors(
  bytes: Uint8Array,
  { rows, cols }: { rows: number; cols: number },
  code: PvqCode,
  layout: Layout,
  write: VectorWriter,
): void {
  const { size, pulses } = code;
  const vectors = (layout.byteCols * UNIT_COLS) / size;
  const given = Math.ceil(cols / size);
  const codes = new Uint32Array(bytes.buffer, bytes.byteOffset, layout.paddedRows * vectors);
  const y = new Int8Array(size);
  writeVector(0, size, pulses, y, 0);
  codes.fill(code.encode(y, 0));
  for (let row = 0; row < rows; row++) {
    for (let vector = 0; vector < given; vector++) {
      write(row, vector, y);
      codes[row * vectors + vector] = code.encode(y, 0);
    }
  }
}

/** The vectors of a row to y, padding included. */
export function readVectors(bytes: Uint8Array, row: number, code: PvqCode, layout: Layout, y: Int8Array): void {
  const vectors = (layout.byteCols * UNIT_COLS) / code.size;
  const codes = new Uint32Array(bytes.buffer, bytes.byteOffset + 4 * row * vectors, vectors);
  for (let vector = 0; vector < vectors; vector++) code.decode(codes[vector] as number, y, vector * code.size);
}
