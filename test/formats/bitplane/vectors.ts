// Golden vectors of bit planes: small matrices with their stored words and products, as the oracle makes them.

import { readFileSync } from "node:fs";
import { bytesFromHex, floatsFromHex, toHex } from "../../kernels/vectors.ts";
import { random } from "../../lib/random.ts";
import {
  type BitplaneWeights,
  bitplaneWords,
  type Encoding,
  gemvBits,
  quantizeBits,
} from "../../reference/bitplane.ts";

/** Numbers are little-endian bytes in hexadecimal. */
export interface BitplaneVector {
  rows: number;
  cols: number;
  groupSize: number;
  bits: number;
  encoding: Encoding;
  activationBits: number;
  activationEncoding: Encoding;
  /** uint8 [rows, cols] */
  codes: string;
  /** float32 [rows, groups] */
  scales: string;
  /** float32 [rows, groups]: weights are scale · (value - zero) */
  zeros?: string;
  /** Stored words, uint32 [rows padded to 16 / 4][plane][word of 32 columns][4 rows]. */
  words: string;
  /** float32 [cols] */
  x: string;
  /** float32 [rows] */
  y: string;
}

const shapes: readonly Omit<BitplaneVector, "codes" | "scales" | "words" | "x" | "y">[] = [
  ...([
    [1, 1, 1, 1, "bipolar", 1, "bipolar"],
    [3, 33, 33, 1, "unsigned", 8, "unsigned"],
    [17, 70, 32, 2, "signed", 4, "signed"],
    [18, 64, 64, 2, "bipolar", 8, "unsigned"],
    [5, 100, 64, 3, "unsigned", 2, "bipolar"],
    [4, 520, 520, 4, "bipolar", 4, "bipolar"],
    [2, 40, 32, 8, "signed", 8, "unsigned"],
    [66, 32, 32, 7, "unsigned", 3, "signed"],
  ] as const),
].map(([rows, cols, groupSize, bits, encoding, activationBits, activationEncoding]) => {
  return { rows, cols, groupSize, bits, encoding, activationBits, activationEncoding };
});

/** scale · (value - zero) = scale · value + offset */
export function zeroOffsets(scales: Float32Array, zeros: Float32Array): Float32Array {
  return scales.map((scale, i) => -scale * (zeros[i] as number));
}

/** The vectors as the oracle makes them now; the seed is fixed and no engine-dependent function is involved. */
export function makeBitplaneVectors(): BitplaneVector[] {
  const rng = random("vectors bitplane", 1);
  return shapes.map((shape, i) => {
    const { rows, cols, groupSize, bits, encoding } = shape;
    const codes = Uint8Array.from({ length: rows * cols }, () => rng.int(0, 2 ** bits - 1));
    const count = rows * Math.ceil(cols / groupSize);
    const scales = rng.uniforms(count);
    const zeros = i % 2 === 1 ? Float32Array.from({ length: count }, () => rng.int(-1, 2 ** bits)) : undefined;
    const offsets = zeros && zeroOffsets(scales, zeros);
    const weights: BitplaneWeights = { rows, cols, bits, encoding, codes, groupSize, scales, offsets };
    const x = rng.uniforms(cols, 4);
    return {
      ...shape,
      codes: toHex(codes),
      scales: toHex(scales),
      ...(zeros && { zeros: toHex(zeros) }),
      words: toHex(new Uint8Array(bitplaneWords(weights).buffer)),
      x: toHex(x),
      y: toHex(gemvBits(weights, quantizeBits(x, shape.activationBits, shape.activationEncoding))),
    };
  });
}

export function bitplaneVectorWeights(vector: BitplaneVector): BitplaneWeights {
  const { rows, cols, bits, encoding, groupSize, zeros } = vector;
  const scales = floatsFromHex(vector.scales);
  return {
    ...{ rows, cols, bits, encoding, groupSize },
    codes: bytesFromHex(vector.codes),
    scales,
    offsets: zeros === undefined ? undefined : zeroOffsets(scales, floatsFromHex(zeros)),
  };
}

export const bitplaneVectorFile = new URL("./vectors.json", import.meta.url);

/** The vectors as checked in. */
export function readBitplaneVectors(): BitplaneVector[] {
  return JSON.parse(readFileSync(bitplaneVectorFile, "utf8")) as BitplaneVector[];
}
