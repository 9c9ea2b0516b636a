// Golden vectors of the packed layouts that checkpoints come in: small layers with what must become of them, as made by
// the packers of test/reference. Other ports can check themselves with the file alone.

import { readFileSync } from "node:fs";
import { toHex } from "../../kernels/vectors.ts";
import { type Random, random } from "../../lib/random.ts";
import { packAwq } from "../../reference/awq.ts";
import { packGptqWeights, packGptqZeros } from "../../reference/gptq.ts";
import { packGgmlMxfp4, packHighFirst, packLowFirst } from "../../reference/nibbles.ts";

/** Little-endian bytes in hexadecimal. */
export interface ImportVector {
  layout: "gptq" | "awq" | "mxfp4" | "mxfp4-ggml" | "nvfp4" | "nf4" | "fp4";
  rows: number;
  cols: number;
  groupSize: number;
  bits: number;
  /** gptq: "gptq" or "gptq_v2" */
  format?: "gptq" | "gptq_v2";
  /** The packed codes: qweight, blocks, packed. */
  packed: string;
  /** As stored: float16 for gptq and awq, E8M0, E4M3, or float32 (nf4, fp4). */
  scales: string;
  qzeros?: string;
  /** int32 [cols] */
  gIdx?: string;
  globalScale?: number;
  /** uint8 [rows, cols], one a byte, in the order of the inputs */
  codes: string;
  /** [groups, rows], gptq and awq */
  zeros?: number[][];
}

export function hexOf(array: ArrayBufferView): string {
  return toHex(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
}

const codesOf = (rng: Random, length: number, bits: number): Uint8Array =>
  Uint8Array.from({ length }, () => rng.int(0, 2 ** bits - 1));

/** Finite positive float16 bits. */
const halves = (rng: Random, length: number): Uint16Array => Uint16Array.from({ length }, () => rng.int(1, 0x7bff));

const zeroLines = (rng: Random, groups: number, rows: number, bits: number): number[][] =>
  Array.from({ length: groups }, () => Array.from({ length: rows }, () => rng.int(0, 2 ** bits - 1)));

/** Every group has groupSize columns, the last perhaps fewer, anywhere. */
export function scatteredGroups(rng: Random, cols: number, groupSize: number): Int32Array {
  const groups = Int32Array.from({ length: cols }, (_, col) => Math.floor(col / groupSize));
  for (let i = cols - 1; i > 0; i--) {
    const j = rng.int(0, i);
    [groups[i], groups[j]] = [groups[j] as number, groups[i] as number];
  }
  return groups;
}

export function makeGptq(
  rng: Random,
  shape: { rows: number; cols: number; groupSize: number; bits: number },
  format: "gptq" | "gptq_v2",
  scattered: boolean,
): ImportVector {
  const { rows, cols, groupSize, bits } = shape;
  const groups = Math.ceil(cols / groupSize);
  const codes = codesOf(rng, rows * cols, bits);
  const zeros = zeroLines(rng, groups, rows, bits);
  return {
    layout: "gptq",
    ...shape,
    format,
    packed: hexOf(packGptqWeights(codes, rows, cols, bits)),
    scales: hexOf(halves(rng, groups * rows)),
    qzeros: hexOf(packGptqZeros(zeros, bits, format)),
    ...(scattered && { gIdx: hexOf(scatteredGroups(rng, cols, groupSize)) }),
    codes: hexOf(codes),
    zeros,
  };
}

export function makeAwq(rng: Random, shape: { rows: number; cols: number; groupSize: number }): ImportVector {
  const { rows, cols, groupSize } = shape;
  const groups = Math.ceil(cols / groupSize);
  const codes = codesOf(rng, rows * cols, 4);
  const zeros = zeroLines(rng, groups, rows, 4);
  const lines = Array.from({ length: cols }, (_, col) =>
    Array.from({ length: rows }, (_, row) => codes[row * cols + col] as number),
  );
  return {
    layout: "awq",
    ...shape,
    bits: 4,
    packed: hexOf(packAwq(lines)),
    scales: hexOf(halves(rng, groups * rows)),
    qzeros: hexOf(packAwq(zeros)),
    codes: hexOf(codes),
    zeros,
  };
}

export function makeTable(
  rng: Random,
  layout: Exclude<ImportVector["layout"], "gptq" | "awq">,
  rows: number,
  cols: number,
  groupSize: number,
): ImportVector {
  const codes = codesOf(rng, rows * cols, 4);
  const count = Math.ceil((rows * cols) / groupSize);
  // No NaN: E8M0 below 255, E4M3 below 127.
  const bytes = Uint8Array.from({ length: count }, () => rng.int(0, layout === "nvfp4" ? 126 : 254));
  const common = { layout, rows, cols, groupSize, bits: 4, codes: hexOf(codes) };
  if (layout === "mxfp4-ggml") return { ...common, packed: hexOf(packGgmlMxfp4(codes, bytes)), scales: hexOf(bytes) };
  if (layout === "mxfp4") return { ...common, packed: hexOf(packLowFirst(codes)), scales: hexOf(bytes) };
  if (layout === "nvfp4") {
    return { ...common, packed: hexOf(packLowFirst(codes)), scales: hexOf(bytes), globalScale: 0.0078125 };
  }
  return { ...common, packed: hexOf(packHighFirst(codes)), scales: hexOf(rng.uniforms(count)) };
}

/** The vectors as the packers make them now; the seed is fixed. */
export function makeImportVectors(): ImportVector[] {
  const rng = random("vectors import", 1);
  return [
    makeGptq(rng, { rows: 16, cols: 32, groupSize: 16, bits: 2 }, "gptq", false),
    makeGptq(rng, { rows: 32, cols: 32, groupSize: 16, bits: 3 }, "gptq", false),
    makeGptq(rng, { rows: 8, cols: 40, groupSize: 16, bits: 4 }, "gptq", false),
    makeGptq(rng, { rows: 8, cols: 40, groupSize: 16, bits: 4 }, "gptq_v2", true),
    makeGptq(rng, { rows: 4, cols: 12, groupSize: 12, bits: 8 }, "gptq_v2", false),
    makeAwq(rng, { rows: 16, cols: 20, groupSize: 8 }),
    makeTable(rng, "mxfp4", 2, 64, 32),
    makeTable(rng, "mxfp4-ggml", 2, 64, 32),
    makeTable(rng, "nvfp4", 3, 32, 16),
    makeTable(rng, "nf4", 3, 48, 64),
    makeTable(rng, "fp4", 1, 65, 64),
  ];
}

export const importVectorFile = new URL("./import-vectors.json", import.meta.url);

/** The vectors as checked in. */
export function readImportVectors(): ImportVector[] {
  return JSON.parse(readFileSync(importVectorFile, "utf8")) as ImportVector[];
}
