export type Codes = Int8Array | Int16Array | Int32Array | Float64Array;

/** One matrix of integers with a scale for each group of each row. */
export interface Term<C extends Codes = Codes> {
  /** [rows, cols] */
  codes: C;
  /** [rows, groups] */
  scales: Float32Array;
}

/** W[r][k] = the sum over terms of codes[r][k] * scales[r][g], plus offsets[r][g], with g = floor(k / groupSize). */
export interface Weights<C extends Codes = Int8Array> extends Term<C> {
  rows: number;
  cols: number;
  /** 1: codes are -1 and 1 (binary). 2: -1, 0 and 1 (ternary), stored as two planes of signs. */
  planes: 1 | 2;
  /** Columns that share a scale; `cols` or more is one group. */
  groupSize: number;
  groups: number;
  /** Terms after the first: the other planes of a sum of binary codes. */
  more: Term[];
  /** [rows, groups] */
  offsets?: Float32Array | undefined;
}

export function termsOf(weights: Weights<Codes>): Term[] {
  return [weights, ...weights.more];
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

export function makeWeights<C extends Codes>(parts: {
  rows: number;
  cols: number;
  planes: 1 | 2;
  codes: C;
  scales: ArrayLike<number>;
  groupSize?: number | undefined;
  more?: readonly { codes: Codes; scales: ArrayLike<number> }[];
  offsets?: ArrayLike<number> | undefined;
}): Weights<C> {
  const { rows, cols, planes, codes } = parts;
  const groupSize = parts.groupSize ?? cols;
  const groups = Math.ceil(cols / groupSize);
  const expand = (values: ArrayLike<number>): Float32Array => expandScales(values, rows, groups);
  const more = (parts.more ?? []).map((term) => ({ codes: term.codes, scales: expand(term.scales) }));
  const offsets = parts.offsets && expand(parts.offsets);
  return { rows, cols, planes, codes, groupSize, groups, scales: expand(parts.scales), more, offsets };
}

/** A weight in float64. */
export function weightAt(weights: Weights<Codes>, row: number, column: number): number {
  const { cols, groupSize, groups, offsets } = weights;
  const group = row * groups + Math.floor(column / groupSize);
  let sum = 0;
  for (const { codes, scales } of termsOf(weights)) {
    sum += (codes[row * cols + column] as number) * (scales[group] as number);
  }
  return sum + (offsets?.[group] ?? 0);
}

/** [rows, cols] float32: what the kernels multiply by. */
export function dequantize(weights: Weights<Codes>): Float32Array {
  const { rows, cols } = weights;
  return Float32Array.from({ length: rows * cols }, (_, i) => weightAt(weights, Math.floor(i / cols), i % cols));
}

/** y = W x in float64, x as it is: what every mode approximates. */
export function gemvExact(weights: Weights<Codes>, x: Float32Array): Float64Array {
  const { rows, cols } = weights;
  const y = new Float64Array(rows);
  for (let r = 0; r < rows; r++) {
    let sum = 0;
    for (let k = 0; k < cols; k++) sum += weightAt(weights, r, k) * (x[k] as number);
    y[r] = sum;
  }
  return y;
}
