// Elementary functions of float64 made of + - × ÷ √ and bits: the same number in every engine, where Math.exp and its like
// may differ in the last bit. Every operation here is one that IEEE 754 rounds correctly, in a fixed order.
//
// Bounds. |computed - exact| in units of the last place (ulp) of the exact result, of which 0.5 is the last rounding:
//
//     exp, sin, cos   0.85     expm1   1.1      tanh      1.0     log, log2, log1p   0.51
//     pow             1.0      silu    3.5      sigmoid   2.5
//
// What is not the last rounding stays below 0.5 in exp, log, log2 and pow, so that results which are float64 themselves are
// exact: pow(3, 5) is 243, log2(8) is 3. Below 2^-1022 results are rounded a second time: there it is 1 ulp of 2^-1074.
//
// Arithmetic in two parts, a + b = hi + lo exactly (Knuth, TAOCP 2, 4.2.2; Dekker 1971, "A floating-point technique for
// extending the available precision"), is written out where it is needed.

const view = /* @__PURE__ */ new DataView(/* @__PURE__ */ new ArrayBuffer(8));

/** The sign, the exponent and the upper 20 bits of the mantissa. */
function highWord(x: number): number {
  view.setFloat64(0, x);
  return view.getInt32(0);
}

/** The whole part of log2 |x|, of numbers from 2^-1022 on. */
export function exponentOf(x: number): number {
  return ((highWord(x) >>> 20) & 2047) - 1023;
}

/** 2^n for whole n from -1074 to 1023, made of bits. */
export function powerOfTwo(n: number): number {
  if (n < -1022) return powerOfTwo(n + 52) * 2.220446049250313e-16;
  view.setInt32(0, (n + 1023) << 20);
  view.setInt32(4, 0);
  return view.getFloat64(0);
}

/** x · 2^n, rounded once; |x| within 0.5 to 4, n from -1100 to 1024. */
function scaled(x: number, n: number): number {
  if (n > 1023) return x * powerOfTwo(1023) * 2;
  if (n < -1021) return x * powerOfTwo(n + 100) * 7.888609052210118e-31;
  return x * powerOfTwo(n);
}

/** 1.5 · 2^52: adding and taking it away again leaves the nearest whole number. */
const ROUNDER = 6755399441055744;
/** 2^27 + 1: x · SPLITTER - (x · SPLITTER - x) is the upper half of the bits of x. */
const SPLITTER = 134217729;

/** ln 2 in two parts; the first has 42 bits, so its product with an exponent is exact. */
const LN2_HIGH = 0.6931471805598903;
const LN2_LOW = 5.497923018708371e-14;
/** 1 / ln 2 in two parts. */
const LOG2E = 1.4426950408889634;
const LOG2E_LOW = 2.0355273740931033e-17;

/** The error of p = a · b: p + productError(a, b, p) is the product exactly. Below 2^996 and above 2^-968. */
function productError(a: number, b: number, p: number): number {
  const s = a * SPLITTER;
  const ah = s - (s - a);
  const al = a - ah;
  const t = b * SPLITTER;
  const bh = t - (t - b);
  const bl = b - bh;
  return ah * bh - p + ah * bl + al * bh + al * bl;
}

/** e^r - 1 - r for |r| <= 0.347: the series up to r^14 / 14!, of which the rest is below 2^-63. Even and odd powers apart. */
function expTail(r: number): number {
  const z = r * r;
  let even = 1 / 87178291200;
  even = even * z + 1 / 479001600;
  even = even * z + 1 / 3628800;
  even = even * z + 1 / 40320;
  even = even * z + 1 / 720;
  even = even * z + 1 / 24;
  even = even * z + 1 / 2;
  let odd = 1 / 6227020800;
  odd = odd * z + 1 / 39916800;
  odd = odd * z + 1 / 362880;
  odd = odd * z + 1 / 5040;
  odd = odd * z + 1 / 120;
  odd = odd * z + 1 / 6;
  return z * (even + r * odd);
}

/** e^(x + low), |low| below an ulp of x. */
function expOf(x: number, low: number): number {
  if (!(x < 709.8)) return x >= 709.8 ? Infinity : x;
  if (x < -745.2) return 0;
  const n = x * LOG2E + ROUNDER - ROUNDER;
  // Exact: both have few bits, and the difference is small.
  const rest = x - n * LN2_HIGH;
  const more = low - n * LN2_LOW;
  const r = rest + more;
  const rLow = rest - r + more;
  const one = 1 + r;
  return scaled(one + (1 - one + r + (rLow + expTail(r))), n);
}

/** e^x */
export function exp(x: number): number {
  return expOf(x, 0);
}

/** e^x - 1, without cancellation near 0. */
export function expm1(x: number): number {
  if (!(x < 709.8)) return x >= 709.8 ? Infinity : x;
  if (x < -40) return -1;
  if (Math.abs(x) < 5.551115123125783e-17) return x;
  const n = x * LOG2E + ROUNDER - ROUNDER;
  const rest = x - n * LN2_HIGH;
  const more = -n * LN2_LOW;
  const r = rest + more;
  const rLow = rest - r + more;
  const tail = rLow + expTail(r);
  if (n === 0) return r + tail;
  // 2^n (e^r - 2^-n)
  const one = 1 + r;
  const oneLow = 1 - one + r;
  const s = -powerOfTwo(-n);
  const d = one + s;
  const part = d - one;
  const dLow = one - (d - part) + (s - part);
  return scaled(d + (dLow + (oneLow + tail)), n);
}

/** tanh x = (e^2|x| - 1) / (e^2|x| + 1), numerator, denominator and quotient in two parts. */
export function tanh(x: number): number {
  const y = 2 * Math.abs(x);
  // x - x³/3 rounds to x.
  if (!(y >= 1e-8)) return x;
  if (y > 40) return x < 0 ? -1 : 1;
  const n = y * LOG2E + ROUNDER - ROUNDER;
  const rest = y - n * LN2_HIGH;
  const correction = -n * LN2_LOW;
  const r = rest + correction;
  const tail = rest - r + correction + expTail(r);
  // e^y - 1 = a + aLow
  let a = r + tail;
  let aLow = r - a + tail;
  if (n !== 0) {
    // (1 + r + …) · 2^n - 1; the power is at least 2 and 1 + r + … above 0.7.
    const power = powerOfTwo(n);
    const one = 1 + r;
    const more = (1 - one + r + tail) * power;
    const whole = one * power;
    const d = whole - 1;
    a = d + more;
    aLow = d - a + more + (whole - d - 1);
  }
  const b = a + 2;
  const part = b - a;
  const bLow = a - (b - part) + (2 - part) + aLow;
  const q = a / b;
  const p = q * b;
  const t = q + (a - p - productError(q, b, p) + aLow - q * bLow) / b;
  return x < 0 ? -t : t;
}

/** 1 / (1 + e^-x), the logistic function. */
export function sigmoid(x: number): number {
  const t = exp(-Math.abs(x));
  return x < 0 ? t / (1 + t) : 1 / (1 + t);
}

/** x / (1 + e^-x) (SiLU; Swish with β = 1). */
export function silu(x: number): number {
  if (x > -40) return x * sigmoid(x);
  if (x === Number.NEGATIVE_INFINITY) return -0;
  // 1 + e^-x rounds to e^-x. Two factors of e^(x / 2), since e^x leaves the range of float64 before the product does.
  const root = exp(x / 2);
  return x * root * root;
}

/** The lower part of what `logOf`, `reduce` last returned. */
let low = 0;

/**
 * ln(1 + f + fLow) in two parts for 1 + f within √½ to √2, fLow far below f: 2 (s + s³/3 + s⁵/5 + …) with s = f / (2 + f), which is
 * at most 0.1716, up to s^25 / 25: the rest is below 2^-70 of it. s and s³/3 are in two parts, the others in one, so that the
 * relative error is below 2^-63.
 */
function logOf(f: number, fLow: number): number {
  const d = 2 + f;
  const dLow = 2 - d + f + fLow;
  const s = f / d;
  const p = s * d;
  const sLow = (f - p - productError(s, d, p) + (fLow - s * dLow)) / d;
  const z = s * s;
  const zLow = productError(s, s, z) + 2 * s * sLow;
  let series = 1 / 25;
  series = series * z + 1 / 23;
  series = series * z + 1 / 21;
  series = series * z + 1 / 19;
  series = series * z + 1 / 17;
  series = series * z + 1 / 15;
  series = series * z + 1 / 13;
  series = series * z + 1 / 11;
  series = series * z + 1 / 9;
  series = series * z + 1 / 7;
  series = series * z + 1 / 5;
  series = series * z * z;
  // z / 3 in two parts; a third is 0.3333333333333333 + 1.85e-17.
  const third = z * 0.3333333333333333;
  const thirdLow = productError(z, 0.3333333333333333, third) + z * 1.850371707708594e-17 + zLow / 3;
  const u = third + series;
  const uLow = third - u + series + thirdLow;
  const product = s * u;
  const productLow = productError(s, u, product) + s * uLow + sLow * u;
  const sum = s + product;
  const sumLow = s - sum + product + (productLow + sLow);
  const high = sum + sumLow;
  low = 2 * (sum - high + sumLow);
  return 2 * high;
}

/** The power of two of `split`. */
let exponent = 0;

/** m of x = m · 2^exponent, m within √½ to √2; x positive and finite. */
function split(x: number): number {
  // 2^54
  const normal = x < 2.2250738585072014e-308 ? x * 18014398509481984 : x;
  const high = highWord(normal);
  exponent = (high >> 20) - 1023 - (normal === x ? 0 : 54);
  view.setInt32(0, (high & 0xfffff) | 0x3ff00000);
  const m = view.getFloat64(0);
  if (m < Math.SQRT2) return m;
  exponent++;
  return m / 2;
}

/** ln(2^k) + h + low, in two parts: |h| is less than half of ln 2. */
function addExponent(k: number, h: number): number {
  const a = k * LN2_HIGH;
  const sum = a + h;
  const part = sum - a;
  const sumLow = a - (sum - part) + (h - part) + (low + k * LN2_LOW);
  const high = sum + sumLow;
  low = sum - high + sumLow;
  return high;
}

/** Numbers of which the logarithm is no number or not finite. */
function logOfSpecial(x: number): number {
  if (x === 0) return Number.NEGATIVE_INFINITY;
  return x > 0 ? x : Number.NaN;
}

/** ln x */
export function log(x: number): number {
  if (!(x > 0 && x < Infinity)) return logOfSpecial(x);
  const m = split(x);
  return addExponent(exponent, logOf(m - 1, 0));
}

/** The logarithm of x to base 2: whole for powers of two. */
export function log2(x: number): number {
  if (!(x > 0 && x < Infinity)) return logOfSpecial(x);
  const m = split(x);
  const k = exponent;
  const h = logOf(m - 1, 0);
  const p = h * LOG2E;
  const pLow = productError(h, LOG2E, p) + h * LOG2E_LOW + low * LOG2E;
  const sum = k + p;
  const part = sum - k;
  return sum + (k - (sum - part) + (p - part) + pLow);
}

/** ln(1 + x), without cancellation near 0. */
export function log1p(x: number): number {
  if (!(x > -1 && x < Infinity)) return logOfSpecial(1 + x);
  if (Math.abs(x) < 5.551115123125783e-17) return x;
  if (x > -0.29 && x < 0.41) return logOf(x, 0);
  const y = 1 + x;
  const part = y - 1;
  const yLow = 1 - (y - part) + (x - part);
  const m = split(y);
  const k = exponent;
  return addExponent(k, logOf(m - 1, k < 1000 ? yLow * powerOfTwo(-k) : 0));
}

/** x^y, as ECMAScript has it where it is no number: 1 to the power of ±Infinity is NaN, and anything to the power of 0 is 1. */
export function pow(x: number, y: number): number {
  if (y === 0) return 1;
  if (y === 1) return x;
  if (Number.isNaN(x) || Number.isNaN(y)) return Number.NaN;
  const size = Math.abs(x);
  if (Math.abs(y) === Infinity) {
    if (size === 1) return Number.NaN;
    return size > 1 === y > 0 ? Infinity : 0;
  }
  // From 2^53 on every float64 is even.
  const whole = Math.floor(y) === y;
  const odd = whole && Math.abs(y) < 9007199254740992 && Math.floor(y / 2) * 2 !== y;
  if (x < 0 && size < Infinity && !whole) return Number.NaN;
  const sign = odd && (x < 0 || (x === 0 && 1 / x < 0)) ? -1 : 1;
  if (size === 0 || size === Infinity) return sign * ((size === 0) === y < 0 ? Infinity : 0);
  const m = split(size);
  const h = addExponent(exponent, logOf(m - 1, 0));
  const p = y * h;
  if (p > 710) return sign * Infinity;
  if (p < -746) return sign * 0;
  // Also where y or h is so small that the parts of the product would leave the range.
  if (Math.abs(p) < 1e-17) return sign;
  return sign * expOf(p, productError(y, h, p) + y * low);
}

/** 2 / π, and π / 2 in three parts: two of 33 bits, whose products with a whole number below 2^20 are exact, and the rest. */
const TWO_OVER_PI = 0.6366197723675814;
const HALF_PI_1 = 1.5707963267341256;
const HALF_PI_2 = 6.077100506303966e-11;
const HALF_PI_3 = 2.0222662487959506e-21;
/** π / 2 in two parts. */
const HALF_PI = 1.5707963267948966;
const HALF_PI_LOW = 6.123233995736766e-17;

/** 2 / π after the point, 24 bits each. */
const TWO_OVER_PI_BITS = /* @__PURE__ */ Int32Array.of(
  ...[0xa2f983, 0x6e4e44, 0x1529fc, 0x2757d1, 0xf534dd, 0xc0db62, 0x95993c, 0x439041, 0xfe5163, 0xabdebb, 0xc561b7],
  ...[0x246e3a, 0x424dd2, 0xe00649, 0x2eea09, 0xd1921c, 0xfe1deb, 0x1cb129, 0xa73ee8, 0x8235f5, 0x2ebb44, 0x84e99c],
  ...[0x7026b4, 0x5f7e41, 0x3991d6, 0x398353, 0x39f49c, 0x845f8b, 0xbdf928, 0x3b1ff8, 0x97ffde, 0x05980f, 0xef2f11],
  ...[0x8b5a0a, 0x6d1f6d, 0x367ecf, 0x27cb09, 0xb74f46, 0x3f669e, 0x5fea2d, 0x7527ba, 0xc7ebe5, 0xf17b3d, 0x0739f7],
  ...[0x8a5292, 0xea6bfb, 0x5fb11f, 0x8d5d08, 0x560330, 0x46fc7b, 0x6babf0],
);
/** Columns of 24 bits of a product with 2 / π: 11 of them leave an error of 2^-160, and no float64 is nearer than 2^-62 to a multiple of π / 2. */
const COLUMNS = 11;
const columns = /* @__PURE__ */ new Float64Array(COLUMNS);

/** The quarter turns of `reduce`, modulo 4. */
let quarters = 0;

/** r of x = n π / 2 + r in two parts, |r| at most π / 4 but for its last bit; x >= 0 and finite. */
function reduce(x: number): number {
  if (x < 0.785) {
    quarters = 0;
    low = 0;
    return x;
  }
  if (x < 1e6) {
    const n = x * TWO_OVER_PI + ROUNDER - ROUNDER;
    // The first difference is exact, the second with its error.
    const a = x - n * HALF_PI_1;
    const b = n * HALF_PI_2;
    const d = a - b;
    const part = d - a;
    const rest = a - (d - part) - (b + part) - n * HALF_PI_3;
    // n · HALF_PI_3 has an error of 2^-98.
    if (Math.abs(d) > 1e-10) {
      const r = d + rest;
      low = d - r + rest;
      quarters = n & 3;
      return r;
    }
  }
  return reduceLarge(x);
}

/**
 * The same by as many digits of 2 / π as it takes (Payne and Hanek 1983, "Radian reduction for trigonometric functions"): x is a whole
 * number of 53 bits times 2^e, and digits of 2 / π that give multiples of 4 with it are left out.
 */
function reduceLarge(x: number): number {
  const high = highWord(x);
  const e = (high >> 20) - 1075;
  // Parts of 24 bits of the whole number.
  const m0 = view.getInt32(4) & 0xffffff;
  const m1 = ((high & 0xffff) << 8) | (view.getInt32(4) >>> 24);
  const m2 = ((high >> 16) & 15) | 16;
  const first = e < 2 ? 0 : Math.floor((e - 2) / 24);
  for (let j = 0; j < COLUMNS; j++) {
    // At most 3 · 2^48
    columns[j] =
      m2 * (TWO_OVER_PI_BITS[first + j] as number) +
      (j > 0 ? m1 * (TWO_OVER_PI_BITS[first + j - 1] as number) : 0) +
      (j > 1 ? m0 * (TWO_OVER_PI_BITS[first + j - 2] as number) : 0);
  }
  for (let j = COLUMNS - 1; j > 0; j--) {
    const carry = Math.floor((columns[j] as number) / 16777216);
    columns[j] = (columns[j] as number) - carry * 16777216;
    columns[j - 1] = (columns[j - 1] as number) + carry;
  }
  // Column j counts 2^(e + 24 - 24 (first + j)). The whole number nearest to the sum modulo 4:
  const top = e + 24 - 24 * first;
  let sum = 0;
  for (let j = COLUMNS - 1; j >= 0; j--) {
    const value = (columns[j] as number) * powerOfTwo(top - 24 * j);
    columns[j] = value - 4 * Math.floor(value / 4);
    sum += columns[j] as number;
  }
  const n = sum + ROUNDER - ROUNDER;
  let h = -n;
  let l = 0;
  for (let j = 0; j < COLUMNS; j++) {
    const value = columns[j] as number;
    const next = h + value;
    const part = next - h;
    l += h - (next - part) + (value - part);
    h = next;
  }
  quarters = n & 3;
  const f = h + l;
  const fLow = h - f + l;
  const p = f * HALF_PI;
  const pLow = productError(f, HALF_PI, p) + (f * HALF_PI_LOW + fLow * HALF_PI);
  const r = p + pLow;
  low = p - r + pLow;
  return r;
}

/** sin(r + rLow), |r| <= π / 4 and a bit: the series up to r^17 / 17!, of which the rest is below 2^-62 of it. */
function sinOf(r: number, rLow: number): number {
  const z = r * r;
  let series = 1 / 355687428096000;
  series = series * z - 1 / 1307674368000;
  series = series * z + 1 / 6227020800;
  series = series * z - 1 / 39916800;
  series = series * z + 1 / 362880;
  series = series * z - 1 / 5040;
  series = series * z + 1 / 120;
  series = series * z - 1 / 6;
  return r + (r * z * series + rLow * (1 - z / 2));
}

/** cos(r + rLow) likewise: up to r^18 / 18!, the rest below 2^-67. */
function cosOf(r: number, rLow: number): number {
  const z = r * r;
  const zLow = productError(r, r, z);
  let series = -1 / 6402373705728000;
  series = series * z + 1 / 20922789888000;
  series = series * z - 1 / 87178291200;
  series = series * z + 1 / 479001600;
  series = series * z - 1 / 3628800;
  series = series * z + 1 / 40320;
  series = series * z - 1 / 720;
  series = series * z + 1 / 24;
  const half = z / 2;
  const one = 1 - half;
  return one + (1 - one - half + (z * z * series - r * rLow - zLow / 2));
}

/** The sine of x radians, x of any size. */
export function sin(x: number): number {
  if (!(Math.abs(x) < Infinity)) return Number.NaN;
  // x - x³/6 rounds to x.
  if (Math.abs(x) < 1e-8) return x;
  const r = reduce(Math.abs(x));
  const y = quarters & 1 ? cosOf(r, low) : sinOf(r, low);
  return x < 0 === quarters > 1 ? y : -y;
}

/** The cosine of x radians, x of any size. */
export function cos(x: number): number {
  if (!(Math.abs(x) < Infinity)) return Number.NaN;
  const r = reduce(Math.abs(x));
  const y = quarters & 1 ? sinOf(r, low) : cosOf(r, low);
  return quarters === 1 || quarters === 2 ? -y : y;
}
