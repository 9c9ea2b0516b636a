// Trellis codes with computed codebooks (QTIP, arXiv 2406.11235) in the layout and the layers of EXL3, from their
// definitions, in float64.

import { hadamardExact } from "./hadamard.ts";
import { halfValue } from "./half.ts";

export type ReferenceCodebook = "3inst" | "mcg" | "mul1" | "1mad";

const HASHES: Readonly<Record<ReferenceCodebook, readonly [bigint, bigint]>> = {
  "3inst": [89226354n, 64248484n],
  mcg: [0xcbac1fedn, 0n],
  mul1: [0x83dcd12dn, 0n],
  "1mad": [34038481n, 76625530n],
};

/** The integer and the weight of a 16-bit state: a sum of bytes less 510, or of two float16 in units of 2^-13. */
export function trellisWeight(codebook: ReferenceCodebook, state: number): { integer: number; weight: number } {
  const [multiplier, addend] = HASHES[codebook];
  const y = Number((BigInt(state) * multiplier + addend) % 2n ** 32n);
  if (codebook === "mul1" || codebook === "1mad") {
    let sum = 0;
    for (let rest = y; rest > 0; rest = Math.floor(rest / 256)) sum += rest % 256;
    if (codebook === "1mad") return { integer: sum - 510, weight: (sum - 510) / 147.800537109375 };
    return { integer: sum - 510, weight: (1024 + sum) * halfValue(0x1eee) + halfValue(0xc931) };
  }
  const both = Number((BigInt(y) & 0x8fff8fffn) ^ 0x3b603b60n);
  const weight = halfValue(Math.floor(both / 65536)) + halfValue(both % 65536);
  return { integer: weight * 2 ** 13, weight };
}

/** The float16 nearest to x, ties to even, of those that are not denormal. */
function nearestHalf(x: number): number {
  if (x === 0) return 0;
  const step = 2 ** (Math.floor(Math.log2(Math.abs(x))) - 10);
  const below = Math.floor(x / step);
  const rest = x / step - below;
  return (rest > 0.5 || (rest === 0.5 && below % 2 !== 0) ? below + 1 : below) * step;
}

/** The weight as exllamav3 has it. */
export function trellisHalf(codebook: ReferenceCodebook, state: number): number {
  return nearestHalf(trellisWeight(codebook, state).weight);
}

/** The bits of a tile, the first first, of its 16 · bits words: pairs of them are little-endian words of 32 bits. */
function bitsOfTile(words: ArrayLike<number>): Uint8Array {
  const stream = new Uint8Array(16 * words.length);
  for (let i = 0; i < stream.length; i++) {
    const pair = i >> 5;
    const place = 31 - (i & 31); // of the bit in its word of 32, the highest first
    const half = words[2 * pair + (place < 16 ? 0 : 1)] as number;
    stream[i] = (half >> (place & 15)) & 1;
  }
  return stream;
}

/** The 256 states of a tile: 16 bits each, the last of them the bits of its weight; the stream is a ring. */
export function trellisStates(words: ArrayLike<number>): Uint16Array {
  const bits = words.length / 16;
  const stream = bitsOfTile(words);
  const states = new Uint16Array(256);
  for (let t = 0; t < 256; t++) {
    let state = 0;
    for (let i = (t + 1) * bits - 16; i < (t + 1) * bits; i++) {
      state = 2 * state + (stream[i < 0 ? i + stream.length : i] as number);
    }
    states[t] = state;
  }
  return states;
}

/** Which output and which input of a tile the weight at a place of the stream is. */
export function trellisPlace(t: number): { out: number; in: number } {
  const lane = Math.floor(t / 8);
  const j = t % 8;
  return {
    in: 2 * (lane % 4) + (j % 2) + 8 * (Math.floor(j / 2) % 2),
    out: Math.floor(lane / 4) + 8 * Math.floor(j / 4),
  };
}

/** States [rows, cols] of tiles [ceil(cols / 16)][ceil(rows / 16)][16 · bits]. */
export function trellisMatrix(words: Uint16Array, rows: number, cols: number): Uint16Array {
  const tall = Math.ceil(rows / 16);
  const wide = Math.ceil(cols / 16);
  const size = words.length / tall / wide;
  const states = new Uint16Array(rows * cols);
  for (let tile = 0; tile < tall * wide; tile++) {
    const top = 16 * (tile % tall);
    const left = 16 * Math.floor(tile / tall);
    const tileStates = trellisStates(words.subarray(tile * size, (tile + 1) * size));
    for (let t = 0; t < 256; t++) {
      const place = trellisPlace(t);
      const row = top + place.out;
      const col = left + place.in;
      if (row < rows && col < cols) states[row * cols + col] = tileStates[t] as number;
    }
  }
  return states;
}

/** svh ⊙ H (Ŵ · H (suh ⊙ x)), H the orthonormal transform of runs of 128. */
export function exl3Layer(
  w: ArrayLike<number>,
  rows: number,
  cols: number,
  suh: ArrayLike<number>,
  svh: ArrayLike<number>,
  x: ArrayLike<number>,
): Float64Array {
  const transform = (v: Float64Array): Float64Array => {
    const out = new Float64Array(v.length);
    for (let i = 0; i < v.length; i += 128) out.set(hadamardExact(v.subarray(i, i + 128), [1], 128), i);
    return out;
  };
  const rotated = transform(Float64Array.from({ length: cols }, (_, i) => (suh[i] as number) * (x[i] as number)));
  const product = Float64Array.from({ length: rows }, (_, row) => {
    let total = 0;
    for (let col = 0; col < cols; col++) total += (w[row * cols + col] as number) * (rotated[col] as number);
    return total;
  });
  return transform(product).map((v, i) => v * (svh[i] as number));
}
