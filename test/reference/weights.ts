const f32 = Math.fround;

/** W[r][k] = codes[r][k] * scales[r][floor(k / groupSize)]. */
export interface Weights {
  rows: number;
  cols: number;
  /** 1: codes are -1 and 1 (binary). 2: -1, 0 and 1 (ternary), stored as two planes of signs. */
  planes: 1 | 2;
  /** [rows, cols] */
  codes: Int8Array;
  /** Columns that share a scale; `cols` or more is one group. */
  groupSize: number;
  groups: number;
  /** [rows, groups] */
  scales: Float32Array;
}

/** The scales of one matrix, of each row, or of each group of each row: their number says which. Gives [rows, groups]. */
export function expandScales(scales: ArrayLike<number>, rows: number, groups: number): Float32Array {
  return Float32Array.from({ length: rows * groups }, (_, i) => {
    if (scales.length === rows * groups) return scales[i] as number;
    if (scales.length === rows) return scales[Math.floor(i / groups)] as number;
    if (scales.length === 1) return scales[0] as number;
    throw new RangeError(`${scales.length} scales fit neither the matrix, its rows nor its groups`);
  });
}

export function makeWeights(parts: {
  rows: number;
  cols: number;
  planes: 1 | 2;
  codes: Int8Array;
  scales: ArrayLike<number>;
  groupSize?: number | undefined;
}): Weights {
  const { rows, cols, planes, codes } = parts;
  const groupSize = parts.groupSize ?? cols;
  const groups = Math.ceil(cols / groupSize);
  return { rows, cols, planes, codes, groupSize, groups, scales: expandScales(parts.scales, rows, groups) };
}

/** [rows, cols] float32: what the kernels multiply by. */
export function dequantize(weights: Weights): Float32Array {
  const { rows, cols, codes, groupSize, groups, scales } = weights;
  const out = new Float32Array(rows * cols);
  for (let r = 0; r < rows; r++) {
    for (let k = 0; k < cols; k++) {
      const scale = scales[r * groups + Math.floor(k / groupSize)] as number;
      out[r * cols + k] = f32((codes[r * cols + k] as number) * scale);
    }
  }
  return out;
}

/** y = W x in float64, x as it is: what every mode approximates. */
export function gemvExact(weights: Weights, x: Float32Array): Float64Array {
  const { rows, cols, codes, groupSize, groups, scales } = weights;
  const y = new Float64Array(rows);
  for (let r = 0; r < rows; r++) {
    for (let g = 0; g < groups; g++) {
      let sum = 0;
      const end = Math.min(cols, (g + 1) * groupSize);
      for (let k = g * groupSize; k < end; k++) sum += (codes[r * cols + k] as number) * (x[k] as number);
      y[r] = (y[r] as number) + sum * (scales[r * groups + g] as number);
    }
  }
  return y;
}
