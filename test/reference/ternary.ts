import { roundHalfEven } from "./rounding.ts";
import { expandScales, makeWeights, type Weights } from "./weights.ts";

const f32 = Math.fround;

/** The scale of zeros, the least of BitNet b1.58. Means that are not 0 but round to it in float32 become 2^-149. */
export const smallestScale = 1e-5;

function absMeanScale(w: Float32Array, start: number, end: number): number {
  let sum = 0;
  for (let i = start; i < end; i++) sum += Math.abs(w[i] as number);
  return f32(sum === 0 ? smallestScale : Math.max(sum / (end - start), 2 ** -149));
}

/**
 * BitNet b1.58's absmean quantiser (Ma et al. 2024, arXiv:2402.17764): w / mean|w|, rounded and clamped to -1, 0, 1.
 * `scale`: the mean is the matrix's, each row's, or the number given; with a `groupSize`, each group's of each row.
 */
export function quantizeTernary(
  w: Float32Array,
  rows: number,
  cols: number,
  scale: "matrix" | "row" | "group" | number,
  groupSize = cols,
): Weights {
  const groups = Math.ceil(cols / groupSize);
  const scales = ((): Float32Array => {
    if (typeof scale === "number") return expandScales([f32(scale)], rows, groups);
    if (scale === "matrix") return expandScales([absMeanScale(w, 0, rows * cols)], rows, groups);
    return Float32Array.from({ length: rows * groups }, (_, i) => {
      const row = Math.floor(i / groups) * cols;
      if (scale === "row") return absMeanScale(w, row, row + cols);
      const start = (i % groups) * groupSize;
      return absMeanScale(w, row + start, row + Math.min(cols, start + groupSize));
    });
  })();
  const codes = Int8Array.from(w, (value, i) => {
    const s = scales[Math.floor(i / cols) * groups + Math.floor((i % cols) / groupSize)] as number;
    return Math.max(-1, Math.min(1, roundHalfEven(value / s)));
  });
  return makeWeights({ rows, cols, planes: 2, codes, scales, groupSize });
}

/** Interchange bytes [rows, ceil(cols / 4)]: column 4 b + j is bits 2 j and 2 j + 1 of byte b, as w + 1; padding is 0. */
export function packCodes(codes: Int8Array, rows: number, cols: number): Uint8Array {
  const width = Math.ceil(cols / 4);
  const bytes = new Uint8Array(rows * width);
  for (let r = 0; r < rows; r++) {
    for (let k = 0; k < cols; k++) {
      const at = r * width + Math.floor(k / 4);
      bytes[at] = (bytes[at] as number) | (((codes[r * cols + k] as number) + 1) << (2 * (k % 4)));
    }
  }
  return bytes;
}

/** What the word layout holds: w + 2, a uniform code of 2 bits. */
export function wordCodes(codes: Int8Array): Uint8Array {
  return Uint8Array.from(codes, (code) => code + 2);
}
