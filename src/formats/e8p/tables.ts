// The codebooks of QuIP# (Tseng et al. 2024, arXiv 2402.04396), built from their rules: E8P of 2 bits, E81B of 1 bit, D4
// of 2 bits and HI of 4. Entries are integers: 4w for E8P, 2w for the others.

/** Columns of an E8P or E81B code, and of a D4 one. */
export const E8_COLS = 8;
export const D4_COLS = 4;

/** Sign bit and nibble k of E8P are column DEAL[k]. */
const DEAL = [0, 2, 4, 6, 1, 3, 5, 7] as const;

/** Where the ½s are in the 29 rows of norm² 12 that E8P12 takes, in the order of their codes. */
const TWELVE =
  "123 023 013 012 367 357 347 356 346 345 267 257 247 256 246 245 167 157 147 156 146 045 067 057 047 056 046 014 237";

/** Vectors of `length` entries out of `values`, in lexicographic order, that `keep` lets through. */
function vectors(values: readonly number[], length: number, keep: (v: readonly number[]) => boolean): number[][] {
  const found: number[][] = [];
  const v: number[] = [];
  const extend = (): void => {
    if (v.length === length) {
      if (keep(v)) found.push(v.slice());
      return;
    }
    for (const value of values) {
      v.push(value);
      extend();
      v.pop();
    }
  };
  extend();
  return found;
}

const sumOf = (v: readonly number[]): number => v.reduce((sum, x) => sum + x, 0);
const norm = (v: readonly number[]): number => v.reduce((sum, x) => sum + x * x, 0);

let absolute: Int8Array | undefined;
/** 2|v| of the 256 absolute rows of E8P12, [256, 8]: those of norm² <= 10, then 29 of norm² 12. */
export function absoluteRows(): Int8Array {
  if (absolute) return absolute;
  const rows = vectors([1, 3, 5], E8_COLS, (v) => norm(v) <= 40);
  for (const halves of TWELVE.split(" ")) {
    rows.push(Array.from({ length: E8_COLS }, (_, col) => (halves.includes(String(col)) ? 1 : 3)));
  }
  absolute = Int8Array.from(rows.flat());
  return absolute;
}

/** Whether Σ v of an absolute row is odd, so that an odd number of its entries is negative. */
export function isOdd(row: number): boolean {
  return (sumOf(Array.from(absoluteRows().subarray(row * E8_COLS, (row + 1) * E8_COLS))) & 2) !== 0;
}

/** The rows as they are published: nibble k = 2v + 8 of column DEAL[k], the last of them negated in odd rows. */
export function packedRows(): Uint32Array {
  const rows = absoluteRows();
  return Uint32Array.from({ length: 256 }, (_, row) => {
    let word = 0;
    for (const [k, col] of DEAL.entries()) {
      const v = rows[row * E8_COLS + col] as number;
      word |= (8 + (k === 7 && isOdd(row) ? -v : v)) << (4 * k);
    }
    return word >>> 0;
  });
}

/** Bit col is set where column `col` of E8P code `code` is negative before the shift by ±¼. */
export function negativeColumns(code: number): number {
  let signs = code & 255;
  signs ^= parity(signs);
  let columns = isOdd(code >> 8) ? 1 << DEAL[7] : 0;
  for (const [k, col] of DEAL.entries()) columns ^= ((signs >> k) & 1) << col;
  return columns;
}

/**
 * The code whose columns `negative` are negative before the shift, as many of them odd or even as isOdd(row) says.
 * lower: the shift is -¼.
 */
export function e8pCode(row: number, negative: number, lower: boolean): number {
  const columns = negative ^ (isOdd(row) ? 1 << DEAL[7] : 0);
  let signs = 0;
  for (const [k, col] of DEAL.entries()) signs |= ((columns >> col) & 1) << k;
  return (row << 8) | (signs ^ (lower ? 1 : 0));
}

/** Parity of the 8 bits of `byte`: for a code's low byte, 1 where its shift is -¼ and 0 where it is +¼. */
export function parity(byte: number): number {
  let bits = byte ^ (byte >> 4);
  bits ^= bits >> 2;
  return (bits ^ (bits >> 1)) & 1;
}

let e8p: Int8Array | undefined;
/** 4w of every code of E8P, [65536, 8]: odd integers of magnitude 11 at most. */
export function e8pEntries(): Int8Array {
  if (e8p) return e8p;
  const rows = absoluteRows();
  e8p = new Int8Array(65536 * E8_COLS);
  const negative = Uint8Array.from({ length: 256 }, (_, signs) => negativeColumns(signs));
  for (let row = 0, at = 0; row < 256; row++) {
    const flip = isOdd(row) === isOdd(0) ? 0 : 1 << DEAL[7];
    for (let signs = 0; signs < 256; signs++) {
      const shift = 1 - 2 * parity(signs);
      const columns = (negative[signs] as number) ^ flip;
      for (let col = 0; col < E8_COLS; col++) {
        const v = 2 * (rows[row * E8_COLS + col] as number);
        e8p[at++] = ((columns >> col) & 1 ? -v : v) + shift;
      }
    }
  }
  return e8p;
}

let e81b: Int8Array | undefined;
/** 2w of every code of E81B, [256, 8]: integers of norm² <= 2, halves, and 15 of the 16 doubled axes. */
export function e81bEntries(): Int8Array {
  if (e81b) return e81b;
  const even = (v: readonly number[]): boolean => (sumOf(v) & 3) === 0;
  const whole = vectors([-2, 0, 2], E8_COLS, (v) => norm(v) <= 8 && even(v));
  const halves = vectors([-1, 1], E8_COLS, even);
  const axis = (i: number, value: number): number[] => Array.from({ length: E8_COLS }, (_, k) => (k === i ? value : 0));
  const plus = Array.from({ length: 8 }, (_, i) => axis(i, 4));
  const minus = Array.from({ length: 7 }, (_, i) => axis(i, -4));
  e81b = Int8Array.from([...whole, ...halves, ...plus, ...minus].flat());
  return e81b;
}

/** 2v of the 32 shapes of D4, before signs. */
function d4Shape(shape: number): readonly number[] {
  const fill = (rest: number, ...places: readonly (readonly [place: number, value: number])[]): number[] => {
    const v = [rest, rest, rest, rest];
    for (const [place, value] of places) v[place] = value;
    return v;
  };
  if (shape === 0) return fill(1);
  if (shape === 1) return fill(3);
  const pair = shape >> 1;
  if (shape < 8) return shape & 1 ? fill(1, [0, 3], [pair, 3]) : fill(3, [0, 1], [pair, 1]);
  if (shape < 12) return fill(1, [shape & 3, 3]);
  if (shape < 16) return fill(3, [shape & 3, 1]);
  if (shape < 20) return fill(1, [shape & 3, 5]);
  const at = (shape - 20) & 3;
  const other = (shape - 20) >> 2;
  return fill(1, [at, 3], [other < at ? other : other + 1, 5]);
}

/** 2w of every code of D4, [256, 4]: odd integers of magnitude 5 at most. */
export function d4Entries(): Int8Array {
  return Int8Array.from(
    Array.from({ length: 256 }, (_, code) => {
      const v = d4Shape(code & 31).slice();
      if (code & 32) v[2] = -(v[2] as number);
      if (code & 64) v[1] = -(v[1] as number);
      if (sumOf(v) & 2) v[3] = -(v[3] as number);
      return code & 128 ? v.map((x) => -x) : v;
    }).flat(),
  );
}
