// Nearest points of lattices (Conway and Sloane 1982, "Fast quantizing and decoding algorithms for lattice quantizers and
// codes", IEEE Trans. Inf. Theory 28). All in float64; |x| below 2^51.
import { checkArray, checkInteger, checkLength, rangeError } from "../lib/check.ts";
import type { FloatTensor } from "../lib/floats.ts";
import { settle } from "../lib/options.ts";
import { roundHalfEven } from "./scale.ts";

/**
 * The nearest point of Z^n: each number to the nearest integer, ties to the even one.
 *
 * @param x [n]
 * @param out [n], written and returned; may be x; a new array without it
 */
export function nearestZ(x: ArrayLike<number>, out: Float64Array = new Float64Array(x.length)): Float64Array {
  for (let i = 0; i < x.length; i++) out[i] = roundHalfEven(x[i] as number);
  return out;
}

/**
 * The nearest point of D_n, the integers with an even sum: rounds, and where the sum is odd rounds the number that was
 * farthest from its integer (the first of several) the other way, upwards where it was an integer itself.
 *
 * @param x [n], n at least 2
 * @param out as nearestZ
 * @throws RangeError for another length
 */
export function nearestD(x: ArrayLike<number>, out: Float64Array = new Float64Array(x.length)): Float64Array {
  if (x.length < 2) throw rangeError("nearestD: x", "length 2 or more", String(x.length));
  let sum = 0;
  let worst = 0;
  let most = -1;
  let other = 1;
  for (let i = 0; i < x.length; i++) {
    const value = x[i] as number;
    const rounded = roundHalfEven(value);
    const rest = value - rounded;
    if (Math.abs(rest) > most) {
      most = Math.abs(rest);
      worst = i;
      other = rest < 0 ? -1 : 1;
    }
    out[i] = rounded;
    sum += rounded;
  }
  if (sum % 2 !== 0) out[worst] = (out[worst] as number) + other;
  return out;
}

/**
 * The nearest point of E8, the union of D8 and D8 + ½: of the nearest of each the nearer, that of D8 on a tie.
 *
 * @param x [8]
 * @param out as nearestZ
 * @throws RangeError for another length
 */
export function nearestE8(x: ArrayLike<number>, out: Float64Array = new Float64Array(8)): Float64Array {
  if (x.length !== 8) throw rangeError("nearestE8: x", "length 8", String(x.length));
  const halves = nearestD(Float64Array.from(x, (value) => value - 0.5));
  const whole = nearestD(x, new Float64Array(8));
  let difference = 0;
  for (let i = 0; i < 8; i++) {
    const half = (halves[i] as number) + 0.5;
    halves[i] = half;
    const toHalf = (x[i] as number) - half;
    const toWhole = (x[i] as number) - (whole[i] as number);
    difference += toHalf * toHalf - toWhole * toWhole;
  }
  out.set(difference < 0 ? halves : whole);
  return out;
}

/** A lattice by its basis, ready for Babai's nearest plane. */
export interface BabaiLattice {
  /** The dimension. */
  readonly n: number;
  /**
   * Integers z for which G z is close to x: nearest plane by nearest plane, from the last column of G to the first
   * (Babai 1986). Its distance is at most half of √Σ R_kk², R the triangular factor of G.
   * @param x [n]
   * @param out [n], written and returned; may be x; a new array without it
   * @throws RangeError for another length
   */
  coefficients(x: ArrayLike<number>, out?: Float64Array): Float64Array;
  /**
   * The same for z of ±½, ±3/2, … ±most: each is clamped as it is found, and the planes after it make up for that.
   * @param most a half-integer
   */
  halves(x: ArrayLike<number>, most: number, out?: Float64Array): Float64Array;
  /**
   * G z.
   * @param z [n]
   * @param out [n], not z
   * @throws RangeError for another length
   */
  point(z: ArrayLike<number>, out?: Float64Array): Float64Array;
}

/** The nearest of ±½, ±3/2, … ±most; upwards on a tie. */
export function nearestHalf(value: number, most: number): number {
  return Math.max(-most, Math.min(most, Math.floor(value) + 0.5));
}

/** A diagonal entry of R below this part of its column's length counts as zero. */
const SMALLEST = 1e-12;

/**
 * The lattice of all G z, z integers. G is factored once, by Householder reflections in float64.
 *
 * @param given G [n, n] row-major, its columns the basis
 * @throws TypeError, RangeError for a wrong length, NaN or Infinity, a singular basis
 */
export function babai(given: FloatTensor | Float64Array, n: number): BabaiLattice {
  checkInteger("babai: n", n, 1, 4096);
  const basis = checkArray("babai: basis", settle("babai: basis", given), ["Float32Array", "Float64Array"]);
  if (basis.length !== n * n) throw rangeError("babai: basis", `length ${n * n} (n ${n} x ${n})`, String(basis.length));
  const bad = basis.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) throw rangeError("babai: basis", "finite numbers", `${basis[bad]} at index ${bad}`);
  const g = Float64Array.from(basis);
  const { r, q } = factor(g, n);
  const y = new Float64Array(n);
  const planes = (
    where: string,
    x: ArrayLike<number>,
    out: Float64Array,
    round: (value: number) => number,
  ): Float64Array => {
    checkLength(`${where}: x`, x, n, `n ${n}`);
    for (let i = 0; i < n; i++) {
      let sum = 0;
      for (let j = 0; j < n; j++) sum += (q[i * n + j] as number) * (x[j] as number);
      y[i] = sum;
    }
    for (let k = n - 1; k >= 0; k--) {
      let rest = y[k] as number;
      for (let j = k + 1; j < n; j++) rest -= (r[k * n + j] as number) * (out[j] as number);
      out[k] = round(rest / (r[k * n + k] as number));
    }
    return out;
  };
  return {
    n,
    coefficients: (x, out = new Float64Array(n)) => planes("coefficients", x, out, roundHalfEven),
    halves: (x, most, out = new Float64Array(n)) => planes("halves", x, out, (value) => nearestHalf(value, most)),
    point(z, out: Float64Array = new Float64Array(n)) {
      checkLength("point: z", z, n, `n ${n}`);
      for (let i = 0; i < n; i++) {
        let sum = 0;
        for (let j = 0; j < n; j++) sum += (g[i * n + j] as number) * (z[j] as number);
        out[i] = sum;
      }
      return out;
    },
  };
}

/** G = Qᵀ R: Householder reflections (1958) on G and on the identity at once. */
function factor(g: Float64Array, n: number): { r: Float64Array; q: Float64Array } {
  const r = g.slice();
  const q = new Float64Array(n * n);
  for (let i = 0; i < n; i++) q[i * n + i] = 1;
  const v = new Float64Array(n);
  for (let k = 0; k < n; k++) {
    let square = 0;
    let whole = 0;
    for (let i = 0; i < n; i++) {
      whole += (g[i * n + k] as number) * (g[i * n + k] as number);
      if (i >= k) square += (r[i * n + k] as number) * (r[i * n + k] as number);
    }
    const length = Math.sqrt(square);
    if (!(length > SMALLEST * Math.sqrt(whole))) {
      throw rangeError("babai: basis", "an invertible matrix", `a singular one (column ${k} depends on those before)`);
    }
    const head = r[k * n + k] as number;
    const alpha = head > 0 ? -length : length;
    for (let i = k; i < n; i++) v[i] = r[i * n + k] as number;
    const reflected = head - alpha;
    v[k] = reflected;
    const scale = 2 / (square - head * head + reflected * reflected);
    for (const matrix of [r, q]) {
      for (let j = 0; j < n; j++) {
        let sum = 0;
        for (let i = k; i < n; i++) sum += (v[i] as number) * (matrix[i * n + j] as number);
        sum *= scale;
        for (let i = k; i < n; i++) matrix[i * n + j] = (matrix[i * n + j] as number) - sum * (v[i] as number);
      }
    }
  }
  return { r, q };
}
