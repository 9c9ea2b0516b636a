// Elementary functions to some 200 bits more than float64 has, as fractions of whole numbers: what src/numeric/elementary.ts is held
// against. Numbers are BigInts in units of 2^-BITS; series are plain Taylor series, π is Machin's formula, logarithms are roots.

/** 2^-1074 in these units leaves more than 120 bits. */
export const BITS = 1200n;
const ONE = 1n << BITS;

/** The float64 as a whole number of units, exactly. */
export function fromFloat(x: number): bigint {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, x);
  const bits = view.getBigUint64(0);
  const exponent = Number((bits >> 52n) & 2047n);
  const mantissa = (bits & ((1n << 52n) - 1n)) | (exponent ? 1n << 52n : 0n);
  const value = mantissa << (BITS - 1074n + BigInt(Math.max(exponent, 1) - 1));
  return bits >> 63n ? -value : value;
}

/** |x - exact| in ulp: units of the last place of a float64 as large as `exact`. */
export function ulps(x: number, exact: bigint): number {
  const size = exact < 0n ? -exact : exact;
  const exponent = BigInt(size.toString(2).length) - 1n - BITS;
  const ulp = 1n << (BITS + (exponent < -1022n ? -1074n : exponent - 52n));
  const difference = fromFloat(x) - exact;
  return Number(((difference < 0n ? -difference : difference) * 1000000n) / ulp) / 1e6;
}

const times = (a: bigint, b: bigint): bigint => (a * b) >> BITS;
const over = (a: bigint, b: bigint): bigint => (a << BITS) / b;

/** Σ start · x^(step k) / (…)!, with the sign of `sign` for each. */
function series(start: bigint, x: bigint, next: (k: bigint) => bigint, sign: 1n | -1n): bigint {
  let sum = start;
  let term = start;
  for (let k = 1n; term !== 0n; k++) {
    term = (sign * times(term, x)) / next(k);
    sum += term;
  }
  return sum;
}

function inverseTangent(n: bigint, sign: 1n | -1n): bigint {
  let power = ONE / n;
  let sum = power;
  for (let k = 3n, s: bigint = sign; power !== 0n; k += 2n, s *= sign) {
    power /= n * n;
    sum += (s * power) / k;
  }
  return sum;
}

export const PI: bigint = 4n * (4n * inverseTangent(5n, -1n) - inverseTangent(239n, -1n));
const LN2: bigint = 2n * inverseTangent(3n, 1n);

const nearest = (a: bigint, b: bigint): bigint => {
  const q = (2n * a + b) / (2n * b);
  return 2n * a + b < 0n && (2n * a + b) % (2n * b) !== 0n ? q - 1n : q;
};

export function exactExp(x: bigint): bigint {
  const n = nearest(x, LN2);
  const value = series(ONE, x - n * LN2, (k) => k, 1n);
  return n >= 0n ? value << n : value >> -n;
}

/** Newton's method for e^y = x, from float64. */
export function exactLog(x: bigint): bigint {
  const n = BigInt(x.toString(2).length) - BITS;
  const m = n >= 0n ? x >> n : x << -n;
  const exact = n > 0n ? over(x, ONE << n) : m;
  let y = fromFloat(Math.log(Number(exact >> (BITS - 60n)) / 2 ** 60));
  // Each step squares the error of 2^-50.
  for (let step = 0; step < 6; step++) y += over(exact, exactExp(y)) - ONE;
  return y + n * LN2;
}

export const exactLog2 = (x: bigint): bigint => over(exactLog(x), LN2);
export const exactPow = (x: bigint, y: bigint): bigint => exactExp(times(exactLog(x), y));
export const exactExpm1 = (x: bigint): bigint => exactExp(x) - ONE;
export const exactLog1p = (x: bigint): bigint => exactLog(ONE + x);
export const exactSigmoid = (x: bigint): bigint => over(ONE, ONE + exactExp(-x));
export const exactSilu = (x: bigint): bigint => times(x, exactSigmoid(x));
export function exactTanh(x: bigint): bigint {
  const y = exactExp(2n * x);
  return over(y - ONE, y + ONE);
}

/** π has as many bits after the point as the largest float64 has before it, and 170 more. */
function turned(x: bigint): { r: bigint; n: bigint } {
  const n = nearest(2n * x, PI);
  return { r: x - (n * PI) / 2n, n: ((n % 4n) + 4n) % 4n };
}

const sinSeries = (r: bigint): bigint => series(r, times(r, r), (k) => 2n * k * (2n * k + 1n), -1n);
const cosSeries = (r: bigint): bigint => series(ONE, times(r, r), (k) => (2n * k - 1n) * 2n * k, -1n);

export function exactSin(x: bigint): bigint {
  const { r, n } = turned(x);
  const value = n & 1n ? cosSeries(r) : sinSeries(r);
  return n > 1n ? -value : value;
}

export function exactCos(x: bigint): bigint {
  const { r, n } = turned(x);
  const value = n & 1n ? sinSeries(r) : cosSeries(r);
  return n === 1n || n === 2n ? -value : value;
}
