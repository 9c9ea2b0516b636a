// The golden vectors of test/vectors: what they hold, how they are written, and how the oracle makes them.
// Other runtimes and ports can check themselves with the files alone, so everything is spelled out there.

import { readFileSync } from "node:fs";
import { type Random, random } from "../lib/random.ts";
import { packSigns } from "../reference/binary.ts";
import { gemvInt8, gemvLut8 } from "../reference/gemv.ts";
import { stripScales, tileBytes, tileScales } from "../reference/layout.ts";
import { packCodes, wordCodes } from "../reference/ternary.ts";
import { makeWeights, type Weights } from "../reference/weights.ts";
import { wordBytes } from "../reference/words.ts";

/** Numbers are little-endian bytes in hexadecimal; codes are a string a row of "+", "-" and "0". */
export interface Vector {
  format: "binary" | "ternary";
  rows: number;
  cols: number;
  groupSize: number;
  codes: string[];
  /** float32 [rows, groups] */
  scales: string;
  /** Interchange bytes of the codes. */
  packed: string;
  /** Bytes of the tile layout: binary, and ternary for lut8. */
  tiles: string;
  /** Ternary for int8: bytes of the word layout. */
  words?: string;
  /** float32, with `tiles`: [tile, groups, rows of the tile] */
  tileScales: string;
  /** float32, with `words`: [strip, groups, 16] */
  stripScales?: string;
  /** float32 [cols] */
  x: string;
  /** float32 [rows] */
  int8: string;
  /** float32 [rows] */
  lut8: string;
}

export function toHex(array: Float32Array | Uint8Array): string {
  const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function bytesFromHex(hex: string): Uint8Array {
  return Uint8Array.from({ length: hex.length / 2 }, (_, i) => Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16));
}

export function floatsFromHex(hex: string): Float32Array {
  return new Float32Array(bytesFromHex(hex).buffer as ArrayBuffer);
}

export function codesToText(codes: Int8Array, cols: number): string[] {
  return Array.from({ length: codes.length / cols }, (_, r) =>
    Array.from(codes.subarray(r * cols, (r + 1) * cols), (code) => "-0+"[code + 1]).join(""),
  );
}

export function codesFromText(lines: string[]): Int8Array {
  return Int8Array.from(lines.join(""), (sign) => "-0+".indexOf(sign) - 1);
}

export function vectorWeights(vector: Vector): Weights {
  return makeWeights({
    rows: vector.rows,
    cols: vector.cols,
    planes: vector.format === "binary" ? 1 : 2,
    codes: codesFromText(vector.codes),
    scales: floatsFromHex(vector.scales),
    groupSize: vector.groupSize,
  });
}

const shapes: { rows: number; cols: number; groupSize: number }[] = [
  { rows: 1, cols: 1, groupSize: 1 },
  { rows: 2, cols: 8, groupSize: 8 },
  { rows: 3, cols: 10, groupSize: 10 },
  { rows: 17, cols: 20, groupSize: 8 },
  { rows: 49, cols: 12, groupSize: 12 },
  { rows: 65, cols: 9, groupSize: 8 },
  { rows: 130, cols: 25, groupSize: 16 },
  { rows: 4, cols: 530, groupSize: 530 },
];

function makeVector(format: "binary" | "ternary", shape: (typeof shapes)[number], rng: Random): Vector {
  const { rows, cols } = shape;
  const planes = format === "binary" ? 1 : 2;
  // Words keep 16 columns together.
  const groupSize = planes === 1 || shape.groupSize === cols ? shape.groupSize : Math.min(16, cols);
  const groups = Math.ceil(cols / groupSize);
  const weights = makeWeights({
    rows,
    cols,
    planes,
    codes: planes === 1 ? rng.signs(rows * cols) : rng.trits(rows * cols),
    scales: rng.uniforms(rows * groups),
    groupSize,
  });
  const x = rng.uniforms(cols, 4);
  return {
    format,
    rows,
    cols,
    groupSize,
    codes: codesToText(weights.codes, cols),
    scales: toHex(weights.scales),
    packed: toHex(planes === 1 ? packSigns(weights.codes, rows, cols) : packCodes(weights.codes, rows, cols)),
    tiles: toHex(tileBytes(weights.codes, rows, cols, planes)),
    ...(planes === 2 && { words: toHex(wordBytes(wordCodes(weights.codes), rows, cols, 2)) }),
    tileScales: toHex(tileScales(weights)),
    ...(planes === 2 && { stripScales: toHex(stripScales(weights)) }),
    x: toHex(x),
    int8: toHex(gemvInt8(weights, x)),
    lut8: toHex(gemvLut8(weights, x)),
  };
}

/** The vectors as the oracle makes them now; the seed is fixed and no engine-dependent function is involved. */
export function makeVectors(format: "binary" | "ternary"): Vector[] {
  const rng = random(`vectors ${format}`, 1);
  return shapes.map((shape) => makeVector(format, shape, rng));
}

export function vectorFile(format: "binary" | "ternary"): URL {
  return new URL(`vectors/${format}.json`, import.meta.url);
}

/** The vectors as checked in. */
export function readVectors(format: "binary" | "ternary"): Vector[] {
  return JSON.parse(readFileSync(vectorFile(format), "utf8")) as Vector[];
}
