// Lifted weights (LiftQuant): the tensors of a published layer as a dense matrix, and as the numbers that the signs meet.

const f32 = Math.fround;

/** t1 = √left.length, t2 = a1.length / t1, K' = a2.length. */
export interface LiftTensors {
  rows: number;
  cols: number;
  /** [rows, K'], -1 and 1: bits of 0 and 1 */
  signs: Int8Array;
  /** [rows] */
  scale: Float32Array;
  /** [t1 t2] */
  a1: Float32Array;
  /** [K'] */
  a2: Float32Array;
  /** [t1, t1] */
  left: Float32Array;
  /** [K' / t1, t2] */
  right: Float32Array;
}

function sizes({ a1, a2, left }: LiftTensors): { t1: number; t2: number; out: number } {
  const t1 = Math.sqrt(left.length);
  return { t1, t2: a1.length / t1, out: a2.length / t1 };
}

/**
 * W_o = (leftᵀ · (Q_o ⊙ a2) · right) ⊘ a1 with Q_o = (bits - 1/2) · scale_o as [t1, K' / t1], in float64, without the
 * columns of the padding: [rows, cols].
 */
export function liftDense(tensors: LiftTensors): Float64Array {
  const { rows, cols, signs, scale, a1, a2, left, right } = tensors;
  const { t1, t2, out } = sizes(tensors);
  const dense = new Float64Array(rows * cols);
  for (let row = 0; row < rows; row++) {
    const half = (scale[row] as number) / 2;
    const scaled = Float64Array.from(a2, (a, j) => a * half * (signs[row * a2.length + j] as number));
    for (let i = 0; i < t1; i++) {
      // Row i of leftᵀ · (Q ⊙ a2).
      const mixed = new Float64Array(out);
      for (let k = 0; k < t1; k++) {
        for (let j = 0; j < out; j++) {
          mixed[j] = (mixed[j] as number) + (left[k * t1 + i] as number) * (scaled[k * out + j] as number);
        }
      }
      for (let c = 0; c < t2 && i * t2 + c < cols; c++) {
        let sum = 0;
        for (let j = 0; j < out; j++) sum += (mixed[j] as number) * (right[j * t2 + c] as number);
        dense[row * cols + i * t2 + c] = sum / (a1[i * t2 + c] as number);
      }
    }
  }
  return dense;
}

/**
 * X' [K'] in float32, an operation at a time: x times the reciprocals of a1, left · X, then (left · X) · rightᵀ, each sum
 * from 0 in ascending order, times a2.
 */
export function liftProject(tensors: LiftTensors, x: Float32Array): Float32Array {
  const { a1, a2, left, right } = tensors;
  const { t1, t2, out } = sizes(tensors);
  const scaled = Float32Array.from(a1, (a, k) => f32((x[k] ?? 0) * f32(1 / a)));
  const mixed = new Float32Array(t1 * t2);
  for (let i = 0; i < t1; i++) {
    for (let c = 0; c < t2; c++) {
      let sum = 0;
      for (let k = 0; k < t1; k++) sum = f32(sum + f32((left[i * t1 + k] as number) * (scaled[k * t2 + c] as number)));
      mixed[i * t2 + c] = sum;
    }
  }
  return Float32Array.from(a2, (a, at) => {
    const [i, j] = [Math.floor(at / out), at % out];
    let sum = 0;
    for (let c = 0; c < t2; c++) sum = f32(sum + f32((mixed[i * t2 + c] as number) * (right[j * t2 + c] as number)));
    return f32(sum * a);
  });
}

/**
 * The fixed orthogonal matrix [n, n] of the whitening: signs of a counter, row by row made orthogonal to the rows before,
 * twice, and of length 1, in float64.
 */
export function whiteningFactor(n: number): Float32Array {
  const rows: number[][] = [];
  const product = (a: number[], b: number[]): number => a.reduce((sum, value, i) => sum + value * (b[i] as number), 0);
  for (let counter = 1; rows.length < n; counter += n) {
    let row = Array.from({ length: n }, (_, i) => whiteningSign(counter + i));
    for (const other of [...rows, ...rows]) {
      const along = product(row, other);
      row = row.map((value, i) => value - along * (other[i] as number));
    }
    const length = Math.sqrt(product(row, row));
    if (length > 1e-3) rows.push(row.map((value) => value / length));
  }
  return Float32Array.from(rows.flat());
}

/** 1 or -1: the last bit of the finaliser of MurmurHash3 of a multiple of the counter. */
export function whiteningSign(counter: number): number {
  let h = Math.imul(counter, 0x9e3779b9);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) & 1 ? 1 : -1;
}

/** A B in float32, A [rows, inner], B [inner, cols]: each sum from 0 in the order of the inner index. */
export function productRounded(a: Float32Array, b: Float32Array, inner: number): Float32Array {
  const cols = b.length / inner;
  return Float32Array.from({ length: (a.length / inner) * cols }, (_, at) => {
    const [row, col] = [Math.floor(at / cols), at % cols];
    let sum = 0;
    for (let k = 0; k < inner; k++) {
      sum = f32(sum + f32((a[row * inner + k] as number) * (b[k * cols + col] as number)));
    }
    return sum;
  });
}

/** The least ‖w - M b‖² over all 2^D sign vectors, M [d, D] row-major. */
export function nearestSignsError(matrix: ArrayLike<number>, w: ArrayLike<number>): number {
  const dims = w.length;
  const lifted = matrix.length / dims;
  let best = Number.POSITIVE_INFINITY;
  for (let pattern = 0; pattern < 2 ** lifted; pattern++) {
    let error = 0;
    for (let i = 0; i < dims; i++) {
      let rest = w[i] as number;
      for (let j = 0; j < lifted; j++) {
        const m = matrix[i * lifted + j] as number;
        rest -= Math.floor(pattern / 2 ** j) % 2 === 1 ? m : -m;
      }
      error += rest * rest;
    }
    best = Math.min(best, error);
  }
  return best;
}
