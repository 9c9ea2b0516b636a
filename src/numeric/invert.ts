// Inverses of the small dense factors, in float64.
import { rangeError } from "../lib/check.ts";

/** A pivot smaller than this part of the largest entry of its column counts as zero: float32 entries carry 6e-8. */
const SMALLEST_PIVOT = 1e-9;

/**
 * The inverse of a square matrix, by Gauss-Jordan elimination with partial pivoting, rows brought to one size first.
 *
 * @param matrix [n, n] row-major
 * @returns [n, n], each entry rounded once
 * @throws RangeError for a singular matrix, one so close to it that float32 entries cannot tell, or one whose inverse leaves
 * the range of float32
 */
export function invert(where: string, matrix: Float32Array, n: number): Float32Array {
  const width = 2 * n;
  const rows: Float64Array[] = Array.from({ length: n }, (_, r) => {
    const given = matrix.subarray(r * n, (r + 1) * n);
    const largest = given.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    if (largest === 0) throw rangeError(where, "an invertible matrix", `a singular one (row ${r} is 0)`);
    const row = new Float64Array(width);
    for (let c = 0; c < n; c++) row[c] = (given[c] as number) / largest;
    row[n + r] = 1 / largest;
    return row;
  });
  const at = (row: number, col: number): number => rows[row]?.[col] as number;
  const sizes = Float64Array.from({ length: n }, (_, col) =>
    rows.reduce((most, row) => Math.max(most, Math.abs(row[col] as number)), 0),
  );
  for (let col = 0; col < n; col++) {
    let pivot = col;
    for (let row = col + 1; row < n; row++) if (Math.abs(at(row, col)) > Math.abs(at(pivot, col))) pivot = row;
    const value = at(pivot, col);
    if (!(Math.abs(value) > SMALLEST_PIVOT * (sizes[col] as number))) {
      throw rangeError(where, "an invertible matrix", `a singular one (pivot ${value} in column ${col})`);
    }
    const line = rows[pivot] as Float64Array;
    rows[pivot] = rows[col] as Float64Array;
    rows[col] = line;
    for (let j = 0; j < width; j++) line[j] = (line[j] as number) / value;
    for (const [row, other] of rows.entries()) {
      const factor = other[col] as number;
      if (row === col || factor === 0) continue;
      for (let j = col; j < width; j++) other[j] = (other[j] as number) - factor * (line[j] as number);
    }
  }
  const inverse = new Float32Array(n * n);
  for (const [row, line] of rows.entries()) inverse.set(line.subarray(n), row * n);
  const bad = inverse.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) throw rangeError(where, "a matrix whose inverse is float32", `${inverse[bad]} at index ${bad} of it`);
  return inverse;
}
