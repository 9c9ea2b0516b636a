// Blocks of ggml's types to float32, from their definition (ggml-common.h, block_*): scalar, one weight at a time, every product
// rounded to float32 where ggml rounds it.
import { halfValue } from "./half.ts";

const { fround } = Math;

/** [columns of a block, bytes] */
export const BLOCK: Readonly<Record<string, readonly [number, number]>> = {
  Q1_0: [128, 18],
  Q2_0: [64, 18],
  TQ1_0: [256, 54],
  TQ2_0: [256, 66],
  Q4_0: [32, 18],
  Q4_1: [32, 20],
  Q5_0: [32, 22],
  Q5_1: [32, 24],
  Q8_0: [32, 34],
  Q2_K: [256, 84],
  Q3_K: [256, 110],
  Q4_K: [256, 144],
  Q5_K: [256, 176],
  Q6_K: [256, 210],
  IQ4_NL: [32, 18],
  IQ4_XS: [256, 136],
  MXFP4: [32, 17],
  NVFP4: [64, 36],
  IQ2_XXS: [256, 66],
  IQ2_XS: [256, 74],
  IQ2_S: [256, 82],
  IQ3_XXS: [256, 98],
  IQ3_S: [256, 110],
  IQ1_S: [256, 50],
  IQ1_M: [256, 56],
};

/** Points of each grid, sorted with column 0 as the least significant digit. */
export type Grids = Readonly<Record<string, readonly (readonly number[])[]>>;

export function gridsOf(
  bitmaps: Readonly<Record<string, { dims: number; levels: readonly number[]; bitmap: string }>>,
): Grids {
  return Object.fromEntries(
    Object.entries(bitmaps).map(([name, { dims, levels, bitmap }]) => {
      const bytes = Buffer.from(bitmap, "base64");
      const points: number[][] = [];
      for (let i = 0; i < levels.length ** dims; i++) {
        if (((bytes[i >> 3] as number) >> (i & 7)) % 2 === 0) continue;
        points.push(
          Array.from({ length: dims }, (_, k) => levels[Math.floor(i / levels.length ** k) % levels.length] as number),
        );
      }
      return [name, points];
    }),
  );
}

const KVALUES = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];
const E2M1_TWICE = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

/** Weight j of a block. `B` are its bytes. */
type Weight = (B: Uint8Array, j: number, grids: Grids) => number;

const byte = (B: Uint8Array, i: number): number => B[i] as number;
const signed = (B: Uint8Array, i: number): number => byte(B, i) - (byte(B, i) > 127 ? 256 : 0);
const word = (B: Uint8Array, i: number): number => byte(B, i) + 256 * byte(B, i + 1);
const half = (B: Uint8Array, i: number): number => halfValue(word(B, i));
const bit = (B: Uint8Array, at: number, i: number): number => (byte(B, at + Math.floor(i / 8)) >> (i % 8)) % 2;
/** `n` bits from bit `i` on. */
const field = (B: Uint8Array, at: number, i: number, n: number): number => {
  let v = 0;
  for (let k = 0; k < n; k++) v += bit(B, at, i + k) * 2 ** k;
  return v;
};
/** Nibble of column j of 32, whose bytes are at `at`. */
const nib = (B: Uint8Array, at: number, j: number): number => field(B, at, 8 * (j % 16) + 4 * Math.floor(j / 16), 4);
/** Two bits of column j of the super-blocks: 128 columns in 32 bytes. */
const two = (B: Uint8Array, at: number, j: number): number =>
  field(B, at, 8 * (32 * Math.floor(j / 128) + (j % 32)) + 2 * (Math.floor(j / 32) % 4), 2);
const sum = (a: number, b: number): number => fround(fround(a) + fround(b));

/** Scale and minimum of Q4_K and Q5_K, as one string of 96 bits is cut. */
function scaleMin(B: Uint8Array, at: number, g: number): [number, number] {
  if (g < 4) return [field(B, at, 8 * g, 6), field(B, at, 8 * (4 + g), 6)];
  return [
    field(B, at, 8 * (4 + g), 4) + 16 * field(B, at, 8 * (g - 4) + 6, 2),
    field(B, at, 8 * (4 + g) + 4, 4) + 16 * field(B, at, 8 * g + 6, 2),
  ];
}

function fourOrFive(B: Uint8Array, j: number, at: number, high: number): number {
  const g = Math.floor(j / 32);
  const l = j % 32;
  const code =
    field(B, at, 8 * (32 * Math.floor(g / 2) + l) + 4 * (g % 2), 4) + (high < 0 ? 0 : 16 * bit(B, high + l, g));
  const [s, m] = scaleMin(B, 4, g);
  return sum(fround(half(B, 0) * s) * code, -fround(half(B, 2) * m));
}

const trit = (b: number, k: number): number => Math.floor((((b * 3 ** k) % 256) * 3) / 256);

/** Sign of column i of 8 of which seven bits are stored: the number of minus signs is even. */
function sign7(bits: number, i: number): number {
  let minus = 0;
  for (let k = 0; k < 7; k++) minus += (bits >> k) % 2;
  return (i < 7 ? (bits >> i) % 2 : minus % 2) ? -1 : 1;
}
const signBit = (bits: number, i: number): number => ((bits >> i) % 2 ? -1 : 1);
const at = (grids: Grids, name: string, index: number, i: number): number => grids[name]?.[index]?.[i] as number;

const WEIGHT: Readonly<Record<string, Weight>> = {
  Q1_0: (B, j) => (bit(B, 2, j) ? 1 : -1) * half(B, 0),
  Q2_0: (B, j) => half(B, 0) * (field(B, 2, 2 * j, 2) - 1),
  TQ1_0: (B, j) => {
    let t: number;
    if (j < 160) t = trit(byte(B, j % 32), Math.floor(j / 32));
    else if (j < 240) t = trit(byte(B, 32 + ((j - 160) % 16)), Math.floor((j - 160) / 16));
    else t = trit(byte(B, 48 + ((j - 240) % 4)), Math.floor((j - 240) / 4));
    return half(B, 52) * (t - 1);
  },
  TQ2_0: (B, j) => half(B, 64) * (two(B, 0, j) - 1),
  Q4_0: (B, j) => half(B, 0) * (nib(B, 2, j) - 8),
  Q4_1: (B, j) => sum(half(B, 0) * nib(B, 4, j), half(B, 2)),
  Q5_0: (B, j) => half(B, 0) * (nib(B, 6, j) + 16 * bit(B, 2, j) - 16),
  Q5_1: (B, j) => sum(half(B, 0) * (nib(B, 8, j) + 16 * bit(B, 4, j)), half(B, 2)),
  Q8_0: (B, j) => half(B, 0) * signed(B, 2 + j),
  Q2_K: (B, j) => {
    const g = Math.floor(j / 16);
    return sum(fround(half(B, 80) * field(B, g, 0, 4)) * two(B, 16, j), -fround(half(B, 82) * field(B, g, 4, 4)));
  },
  Q3_K: (B, j) => {
    const g = Math.floor(j / 16);
    const low = field(B, 96, g < 8 ? 8 * g : 8 * (g - 8) + 4, 4);
    const high = field(B, 104, 8 * (g % 4) + 2 * Math.floor(g / 4), 2);
    const code = two(B, 32, j) - (bit(B, j % 32, Math.floor(j / 32)) ? 0 : 4);
    return fround(half(B, 108) * (low + 16 * high - 32)) * code;
  },
  Q4_K: (B, j) => fourOrFive(B, j, 16, -1),
  Q5_K: (B, j) => fourOrFive(B, j, 48, 16),
  Q6_K: (B, j) => {
    const n = Math.floor(j / 128);
    const k = Math.floor(j / 32) % 4;
    const low = field(B, 64 * n + 32 * (k % 2) + (j % 32), k < 2 ? 0 : 4, 4);
    const scale = signed(B, 192 + Math.floor(j / 16));
    return fround(half(B, 208) * scale) * (low + 16 * two(B, 128, j) - 32);
  },
  IQ4_NL: (B, j) => half(B, 0) * (KVALUES[nib(B, 2, j)] as number),
  IQ4_XS: (B, j) => {
    const g = Math.floor(j / 32);
    const scale = field(B, 4, 4 * g, 4) + 16 * field(B, 2, 2 * g, 2) - 32;
    return fround(half(B, 0) * scale) * (KVALUES[nib(B, 8 + 16 * g, j % 32)] as number);
  },
  MXFP4: (B, j) => fround(2 ** (byte(B, 0) - 128)) * (E2M1_TWICE[nib(B, 1, j)] as number),
  NVFP4: (B, j) => {
    const g = Math.floor(j / 16);
    const e = byte(B, g);
    const mantissa = e % 8;
    const exponent = Math.floor(e / 8) % 16;
    const scale =
      e === 0 || e === 127 ? 0 : exponent === 0 ? mantissa * 2 ** -9 : (1 + mantissa / 8) * 2 ** (exponent - 7);
    const k = j % 16;
    return (scale / 2) * (E2M1_TWICE[field(B, 4 + 8 * g + (k % 8), 4 * Math.floor(k / 8), 4)] as number);
  },
  IQ2_XXS: (B, j, grids) => {
    const base = 2 + 8 * Math.floor(j / 32);
    const k = Math.floor(j / 8) % 4;
    const scale = fround(half(B, 0) * (0.5 + field(B, base + 4, 28, 4))) * 0.25;
    return scale * sign7(field(B, base + 4, 7 * k, 7), j % 8) * at(grids, "iq2_xxs", byte(B, base + k), j % 8);
  },
  IQ2_XS: (B, j, grids) => {
    const v = Math.floor(j / 8);
    const scale = fround(half(B, 0) * (0.5 + field(B, 66, 4 * Math.floor(j / 16), 4))) * 0.25;
    return scale * sign7(field(B, 2 + 2 * v, 9, 7), j % 8) * at(grids, "iq2_xs", field(B, 2 + 2 * v, 0, 9), j % 8);
  },
  IQ2_S: (B, j, grids) => {
    const v = Math.floor(j / 8);
    const scale = fround(half(B, 0) * (0.5 + field(B, 74, 4 * Math.floor(j / 16), 4))) * 0.25;
    const index = byte(B, 2 + v) + 256 * field(B, 66, 2 * v, 2);
    return scale * signBit(byte(B, 34 + v), j % 8) * at(grids, "iq2_s", index, j % 8);
  },
  IQ3_XXS: (B, j, grids) => {
    const g = Math.floor(j / 32);
    const scale = fround(half(B, 0) * (0.5 + field(B, 66 + 4 * g, 28, 4))) * 0.5;
    const sign = sign7(field(B, 66 + 4 * g, 7 * (Math.floor(j / 8) % 4), 7), j % 8);
    return scale * sign * at(grids, "iq3_xxs", byte(B, 2 + Math.floor(j / 4)), j % 4);
  },
  IQ3_S: (B, j, grids) => {
    const v = Math.floor(j / 4);
    const scale = fround(half(B, 0) * (1 + 2 * field(B, 106, 4 * Math.floor(j / 32), 4)));
    const sign = signBit(byte(B, 74 + Math.floor(j / 8)), j % 8);
    return scale * sign * at(grids, "iq3_s", byte(B, 2 + v) + 256 * bit(B, 66, v), j % 4);
  },
  IQ1_S: (B, j, grids) => {
    const high = 34 + 2 * Math.floor(j / 32);
    const v = Math.floor(j / 8);
    const scale = fround(half(B, 0) * (2 * field(B, high, 12, 3) + 1));
    const delta = bit(B, high, 15) ? -0.125 : 0.125;
    const index = byte(B, 2 + v) + 256 * field(B, high, 3 * (v % 4), 3);
    return scale * (at(grids, "iq1", index, j % 8) + delta);
  },
  IQ1_M: (B, j, grids) => {
    const v = Math.floor(j / 8);
    let bits = 0;
    for (let i = 0; i < 4; i++) bits += field(B, 48 + 2 * i, 12, 4) * 16 ** i;
    const g = Math.floor(j / 16);
    const scale = fround(halfValue(bits) * (2 * field(B, 48 + 2 * Math.floor(g / 4), 3 * (g % 4), 3) + 1));
    const delta = bit(B, 32, 4 * v + 3) ? -0.125 : 0.125;
    return scale * (at(grids, "iq1", byte(B, v) + 256 * field(B, 32, 4 * v, 3), j % 8) + delta);
  },
};

/** All weights of whole blocks. */
export function decodeBlocks(type: string, data: Uint8Array, grids: Grids): Float32Array {
  const [columns, bytes] = BLOCK[type] as readonly [number, number];
  const weight = WEIGHT[type] as Weight;
  return Float32Array.from({ length: (data.length / bytes) * columns }, (_, i) => {
    const block = Math.floor(i / columns) * bytes;
    return weight(data.subarray(block, block + bytes), i % columns, grids);
  });
}
