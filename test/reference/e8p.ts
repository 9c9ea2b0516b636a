// The codebooks of QuIP# (arXiv 2402.04396), in float64: E8P12 by way of its packed words, E81B and D4 by their lists.

import { hadamardExact } from "./hadamard.ts";

const PERMUTED = [0, 2, 4, 6, 1, 3, 5, 7];
const HALVES_OF_TWELVE = [
  ..."123 023 013 012 367 357 347 356 346 345 267 257 247 256 246 245 167 157 147 156 146 045 067 057 047".split(" "),
  ..."056 046 014 237".split(" "),
];

/** Every vector of `n` of the given values, the first column the slowest. */
function allVectors(values: number[], n: number): number[][] {
  let found: number[][] = [[]];
  for (let i = 0; i < n; i++) found = found.flatMap((v) => values.map((x) => [...v, x]));
  return found;
}

const sum = (v: number[]): number => v.reduce((a, b) => a + b, 0);
const squares = (v: number[]): number => v.reduce((a, b) => a + b * b, 0);

/** The 256 packed rows: nibble k = 2v + 8 of permuted column k, column 7 negated where the sum of the row is odd. */
export function packedWords(): Uint32Array {
  const rows = allVectors([0.5, 1.5, 2.5], 8).filter((v) => squares(v) <= 10);
  for (const places of HALVES_OF_TWELVE) {
    rows.push(Array.from({ length: 8 }, (_, col) => (places.includes(`${col}`) ? 0.5 : 1.5)));
  }
  return Uint32Array.from(rows, (row) => {
    const v = PERMUTED.map((col) => row[col] as number);
    if (sum(row) % 2 === 1) v[7] = -(v[7] as number);
    return v.reduce((word, x, k) => word + (2 * x + 8) * 16 ** k, 0);
  });
}

let words: Uint32Array | undefined;

/** The 8 weights of a code of E8P. */
export function e8pVector(code: number): number[] {
  words ??= packedWords();
  const word = words[Math.floor(code / 256)] as number;
  let signs = code % 256;
  let ones = 0;
  for (let k = 0; k < 8; k++) ones += (signs >> k) & 1;
  const odd = ones % 2 === 1;
  if (odd) signs ^= 1;
  const w = new Array<number>(8).fill(0);
  for (let k = 0; k < 8; k++) {
    const v = ((Math.floor(word / 16 ** k) % 16) - 8) / 2;
    w[PERMUTED[k] as number] = ((signs >> k) & 1 ? -v : v) + (odd ? -0.25 : 0.25);
  }
  return w;
}

/**
 * The 8 weights of a code of version 0, the one of 2023-12-03: the row; a bit a column from column 1 on, the highest first,
 * which negates it; ±¼. Column 0 is negated where the sum would be odd without.
 */
export function e8pVector0(code: number): number[] {
  const row = Math.floor(code / 256);
  const places = row < 227 ? undefined : row === 254 ? "045" : (HALVES_OF_TWELVE[row - 227] as string);
  smallRows ??= allVectors([0.5, 1.5, 2.5], 8).filter((v) => squares(v) <= 10);
  const v = places
    ? Array.from({ length: 8 }, (_, col) => (places.includes(`${col}`) ? 0.5 : 1.5))
    : (smallRows[row] as number[]).slice();
  for (let col = 1; col < 8; col++) if (Math.floor(code / 2 ** (8 - col)) % 2 === 1) v[col] = -(v[col] as number);
  if (Math.abs(sum(v) % 2) === 1) v[0] = -(v[0] as number);
  return v.map((x) => x + (code % 2 === 1 ? 0.25 : -0.25));
}

let smallRows: number[][] | undefined;
let lowRate: number[][] | undefined;

/** The 8 weights of a code of E81B. */
export function e81bVector(code: number): number[] {
  if (lowRate === undefined) {
    const even = (v: number[]): boolean => sum(v) % 2 === 0;
    const whole = allVectors([-1, 0, 1], 8).filter((v) => squares(v) <= 2 && even(v));
    const halves = allVectors([-0.5, 0.5], 8).filter(even);
    const unit = (size: number, i: number): number[] => Array.from({ length: 8 }, (_, k) => (k === i ? size : 0));
    const axes = [...[0, 1, 2, 3, 4, 5, 6, 7].map((i) => unit(2, i)), ...[0, 1, 2, 3, 4, 5, 6].map((i) => unit(-2, i))];
    lowRate = [...whole, ...halves, ...axes];
  }
  return lowRate[code] as number[];
}

/** The absolute byte of rows with a 5/2: [column of the 5/2][column of the 3/2, or the same for none]. */
const ESCAPES = [
  "9fb3d3e3f375b5d5 e5f576b6d6e6f679 b9d9e9f97abadaea fa7cbcdcaffc77b7",
  "d7e7f77bbbdbebfb 7ebedeeefe7dbddd edfd7fbfdfefff1f 2f4fcd8f3f5f6fcf",
]
  .join("")
  .replaceAll(" ", "");

/** What is stored for a code of E8P (assembly/vq/README.md): the sign byte, then the absolute byte. */
export function storedE8pBytes(code: number): [number, number] {
  const w = e8pVector(code);
  // All of w + 1/4 or all of w - 1/4 are halves.
  const lower = Math.abs(((w[0] as number) + 0.25) % 1) === 0.5;
  const v = w.map((x) => x + (lower ? 0.25 : -0.25));
  const mask = (of: (x: number) => boolean): number => v.reduce((bits, x, k) => bits + (of(x) ? 2 ** k : 0), 0);
  const signs = mask((x) => x < 0) ^ (lower ? 1 : 0);
  const five = v.findIndex((x) => Math.abs(x) === 2.5);
  if (five < 0) return [signs, mask((x) => Math.abs(x) === 1.5)];
  const three = v.findIndex((x) => Math.abs(x) === 1.5);
  const at = 2 * (8 * five + (three < 0 ? five : three));
  return [signs, Number.parseInt(ESCAPES.slice(at, at + 2), 16)];
}

/** What is stored for a code of E81B. */
export function storedE81bByte(code: number): number {
  const v = e81bVector(code);
  if ((v[0] as number) % 1 !== 0) return 128 + v.reduce((bits, x, k) => bits + (k < 7 && x > 0 ? 2 ** k : 0), 0);
  for (let byte = 0; byte < 128; byte++) {
    const first = byte & 15;
    const axes = [first, (first + (byte >> 4)) & 15];
    // Axis 7 twice counts 1 and -1: what would be -2 e_7 is 0.
    const sum = new Array<number>(8).fill(0);
    for (const axis of axes) sum[axis & 7] = (sum[axis & 7] as number) + (axis < 8 ? 1 : -1);
    if (byte === 15) sum.fill(0);
    if (sum.join() === v.join()) return byte;
  }
  throw new Error(`code ${code} has no byte`);
}

/**
 * The stored bytes of codes [rows, units]: tiles of 64 rows, in a tile units, in a unit strips of 16 rows, in a strip the
 * first byte of each row and then the second; rows 0 8 1 9 … 7 15.
 */
export function latticeBytes(stored: readonly (readonly number[])[], rows: number, units: number): Uint8Array {
  const size = (stored[0] as readonly number[]).length;
  const padding = size === 2 ? storedE8pBytes(0) : [storedE81bByte(0)];
  const padded = Math.ceil(rows / 16) * 16;
  const bytes: number[] = [];
  for (let first = 0; first < padded; first += 64) {
    for (let unit = 0; unit < units; unit++) {
      for (let strip = first; strip < Math.min(first + 64, padded); strip += 16) {
        for (let byte = 0; byte < size; byte++) {
          for (let i = 0; i < 16; i++) {
            const row = strip + (i >> 1) + 8 * (i & 1);
            bytes.push((row < rows ? stored[row * units + unit] : padding)?.[byte] as number);
          }
        }
      }
    }
  }
  return Uint8Array.from(bytes);
}

/** A code of E8P near a vector: the one of its signs and magnitudes, as far as there is one. For making test weights. */
export function codeNear(v: readonly number[]): number {
  words ??= packedWords();
  const want = PERMUTED.map((col) => v[col] as number);
  let best = 0;
  let least = Number.POSITIVE_INFINITY;
  for (let row = 0; row < 256; row++) {
    const word = words[row] as number;
    let error = 0;
    for (let k = 0; k < 8; k++) {
      const magnitude = Math.abs((Math.floor(word / 16 ** k) % 16) - 8) / 2;
      error += (Math.abs(want[k] as number) - magnitude) ** 2;
    }
    if (error < least) {
      least = error;
      best = row;
    }
  }
  const word = words[best] as number;
  let signs = 0;
  for (let k = 0; k < 8; k++) {
    const negative = Math.floor(word / 16 ** k) % 16 < 8;
    if ((want[k] as number) < 0 !== negative) signs |= 1 << k;
  }
  return best * 256 + signs;
}

/** The 4 weights of a code of D4. */
export function d4Vector(code: number): number[] {
  const half = [0.5, 0.5, 0.5, 0.5];
  const large = [1.5, 1.5, 1.5, 1.5];
  const place = (v: number[], i: number, x: number): number[] => v.map((y, k) => (k === i ? x : y));
  const i = code & 31;
  let v: number[];
  if (i === 0) v = half;
  else if (i === 1) v = large;
  else if (i < 8 && i % 2 === 1) v = place(place(half, 0, 1.5), i >> 1, 1.5);
  else if (i < 8) v = place(place(large, 0, 0.5), i >> 1, 0.5);
  else if (i < 12) v = place(half, i & 3, 1.5);
  else if (i < 16) v = place(large, i & 3, 0.5);
  else if (i < 20) v = place(half, i & 3, 2.5);
  else {
    const u = (i - 20) & 3;
    const t = (i - 20) >> 2;
    v = place(place(half, u, 1.5), t >= u ? t + 1 : t, 2.5);
  }
  if (code & 32) v = place(v, 2, -(v[2] as number));
  if (code & 64) v = place(v, 1, -(v[1] as number));
  if (Math.abs(sum(v) % 2) === 1) v = place(v, 3, -(v[3] as number));
  return code & 128 ? v.map((x) => -x) : v;
}

/**
 * Ŵ of a published layer, [rows, cols], or one of its two parts, the residual without its scale. indices: of int64 the low
 * and high halves.
 */
export function quipWords(
  codebook: string,
  indices: ArrayLike<number>,
  rows: number,
  cols: number,
  part: "main" | "residual" | "both" = "both",
): Float64Array {
  const w = new Float64Array(rows * cols);
  const put = (row: number, col: number, v: number[], factor: number): void => {
    for (const [k, x] of v.entries()) w[row * cols + col + k] = (w[row * cols + col + k] as number) + x * factor;
  };
  if (codebook === "D4") {
    for (let i = 0; i < indices.length; i++) put(0, 4 * i, d4Vector(indices[i] as number), 1);
    return w;
  }
  if (codebook === "HI4B1C") {
    for (let i = 0; i < indices.length; i++) {
      for (let k = 0; k < 8; k++) {
        const nibble = Math.floor((indices[i] as number) / 16 ** (7 - k)) % 16;
        put(0, 8 * i + (PERMUTED[k] as number), [nibble - 7.5], 1);
      }
    }
    return w;
  }
  const perRow = cols / 32;
  const stride = codebook === "E8P12" ? perRow : codebook === "E8P12RVQ4B" ? 2 * perRow : 1.5 * perRow;
  const slice = (from: number): number[] => {
    const words: number[] = [];
    for (let row = 0; row < rows; row++) {
      for (let i = 0; i < 2 * perRow; i++) words.push(indices[2 * (row * stride + from) + i] as number);
    }
    return words;
  };
  // [rows / 16][cols / 64][8][4] words of 2 x 2 codes
  const putE8p = (words: number[], factor: number): void => {
    let at = 0;
    for (let R = 0; R < rows / 16; R++) {
      for (let Q = 0; Q < cols / 64; Q++) {
        for (let p = 0; p < 8; p++) {
          for (let q = 0; q < 4; q++) {
            const low = words[at++] as number;
            const high = words[at++] as number;
            for (let r = 0; r < 2; r++) {
              for (let c = 0; c < 2; c++) {
                const i = r + 2 * c;
                let signs = 0;
                for (let j = 0; j < 8; j++) signs += (Math.floor(high / 2 ** (4 * j + i)) % 2) * 2 ** j;
                const code = (Math.floor(low / 256 ** i) % 256) * 256 + signs;
                put(16 * R + 2 * p + r, 64 * Q + 16 * q + 8 * c, e8pVector(code), factor);
              }
            }
          }
        }
      }
    }
  };
  if (part !== "residual") putE8p(slice(0), 1);
  if (part === "main") return w;
  if (codebook === "E8P12RVQ4B") putE8p(slice(perRow), part === "both" ? 1 / 3.45 : 1);
  if (codebook === "E8P12RVQ3B") {
    for (let row = 0; row < rows; row++) {
      for (let word = 0; word < cols / 64; word++) {
        for (let b = 0; b < 8; b++) {
          const half = indices[2 * (row * stride + perRow + word) + Math.floor(b / 4)] as number;
          put(
            row,
            64 * word + 8 * b,
            e81bVector(Math.floor(half / 256 ** (b % 4)) % 256),
            part === "both" ? 1 / 2.04 : 1,
          );
        }
      }
    }
  }
  return w;
}

/**
 * SV ⊙ H (Ŵ · Hᵀ (SU ⊙ x)).
 * @param matrixOf the matrix [k, k] of the transform of n = k · 2^m numbers
 */
export function quipLayer(
  w: Float64Array,
  rows: number,
  cols: number,
  su: ArrayLike<number>,
  sv: ArrayLike<number>,
  x: ArrayLike<number>,
  matrixOf: (n: number) => ArrayLike<number>,
): Float64Array {
  const transform = (v: Float64Array, inverse: boolean): Float64Array => {
    const h = matrixOf(v.length);
    return hadamardExact(v, h, v.length / Math.sqrt(h.length), inverse);
  };
  const signed = Float64Array.from({ length: cols }, (_, i) => (su[i] as number) * (x[i] as number));
  const rotated = transform(signed, true);
  const product = Float64Array.from({ length: rows }, (_, row) => {
    let total = 0;
    for (let col = 0; col < cols; col++) total += (w[row * cols + col] as number) * (rotated[col] as number);
    return total;
  });
  return transform(product, false).map((v, i) => v * (sv[i] as number));
}
