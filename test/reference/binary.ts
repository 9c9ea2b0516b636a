import { makeWeights, type Weights } from "./weights.ts";

const f32 = Math.fround;

/** The mean of |w| over part of a row, summed in ascending order. */
function meanAbs(w: Float32Array, start: number, end: number): number {
  let sum = 0;
  for (let i = start; i < end; i++) sum += Math.abs(w[i] as number);
  return sum / (end - start);
}

/** The sign of each weight (0 and -0 count as plus) and, for each row or group of it, the mean magnitude. */
export function quantizeBinary(w: Float32Array, rows: number, cols: number, groupSize = cols): Weights {
  const codes = Int8Array.from(w, (value) => (value >= 0 ? 1 : -1));
  const groups = Math.ceil(cols / groupSize);
  const scales = Float32Array.from({ length: rows * groups }, (_, i) => {
    const row = Math.floor(i / groups);
    const start = (i % groups) * groupSize;
    return f32(meanAbs(w, row * cols + start, row * cols + Math.min(cols, start + groupSize)));
  });
  return makeWeights({ rows, cols, planes: 1, codes, scales, groupSize });
}

/** Interchange bytes [rows, ceil(cols / 8)]: column 8 b + j is bit j of byte b; set means +1, padding is clear. */
export function packSigns(codes: Int8Array, rows: number, cols: number): Uint8Array {
  const width = Math.ceil(cols / 8);
  const bytes = new Uint8Array(rows * width);
  for (let r = 0; r < rows; r++) {
    for (let k = 0; k < cols; k++) {
      const bit = (codes[r * cols + k] as number) > 0 ? 1 : 0;
      const at = r * width + Math.floor(k / 8);
      bytes[at] = (bytes[at] as number) | (bit << (k % 8));
    }
  }
  return bytes;
}
