// The elementary functions against fractions with 1200 bits, in units of the last place.
import {
  cos,
  exp,
  expm1,
  log,
  log1p,
  log2,
  pow,
  powerOfTwo,
  sigmoid,
  silu,
  sin,
  tanh,
} from "../../src/numeric/elementary.ts";
import { is, ok } from "../lib/assert.ts";
import { random } from "../lib/random.ts";
import { suite } from "../lib/suite.ts";
import * as exact from "../reference/exact.ts";

const own = { exp, expm1, tanh, sigmoid, silu, log, log2, log1p, sin, cos, pow, powerOfTwo };

const t = suite("elementary functions");
const r = random("elementary functions");

const between = (low: number, high: number): number => low + (high - low) * r.uniform();
/** A magnitude of every power of two alike, with a random sign unless `signed` is false. */
const magnitude = (low: number, high: number, signed = true): number =>
  (signed && r.bits() & 1 ? -1 : 1) * (1 + r.uniform()) * own.powerOfTwo(r.int(low, high));

/** The float64 beside x, `steps` away. */
function beside(x: number, steps: number): number {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, x);
  view.setBigInt64(0, view.getBigInt64(0) + BigInt(steps));
  return view.getFloat64(0);
}

function within(bound: number, name: string, y: number, expected: bigint): void {
  const error = exact.ulps(y, expected);
  ok(error <= bound, `${name}: got ${y}, off by ${error} ulp, more than ${bound}`);
}

type Name = "exp" | "expm1" | "tanh" | "sigmoid" | "silu" | "log" | "log2" | "log1p" | "sin" | "cos";

const references: Readonly<Record<Name, (x: bigint) => bigint>> = {
  exp: exact.exactExp,
  expm1: exact.exactExpm1,
  tanh: exact.exactTanh,
  sigmoid: exact.exactSigmoid,
  silu: exact.exactSilu,
  log: exact.exactLog,
  log2: exact.exactLog2,
  log1p: exact.exactLog1p,
  sin: exact.exactSin,
  cos: exact.exactCos,
};

/** What the head of elementary.ts says. */
const BOUNDS: Readonly<Record<Name, number>> = {
  exp: 0.85,
  expm1: 1.1,
  tanh: 1,
  sigmoid: 2.5,
  silu: 3.5,
  log: 0.51,
  log2: 0.51,
  log1p: 0.51,
  sin: 0.85,
  cos: 0.85,
};

function compare(name: Name, xs: Iterable<number>, bound = BOUNDS[name]): void {
  for (const x of xs) within(bound, `${name}(${x})`, own[name](x), references[name](exact.fromFloat(x)));
}
const many = (make: () => number, count = 150): number[] => Array.from({ length: count }, make);

t("the reference: π, e and logarithms to 60 digits", () => {
  const digits = (value: bigint): string => `${(value * 10n ** 60n) >> exact.BITS}`;
  const one = exact.fromFloat(1);
  is(digits(exact.PI), "3141592653589793238462643383279502884197169399375105820974944");
  is(digits(exact.exactExp(one)), "2718281828459045235360287471352662497757247093699959574966967");
  is(digits(exact.exactLog(2n * one)), "693147180559945309417232121458176568075500134360255254120680");
  is(digits(exact.exactSin(one)), "841470984807896506652502321630298999622563060798371065672751");
  is(digits(exact.exactCos(one)), "540302305868139717400936607442976603732310420617922227670097");
});

t("powers of two are made of bits, and taken apart again", () => {
  let power = 1;
  for (let n = 0; n >= -1074; n--, power /= 2) {
    is(own.powerOfTwo(n), power, `2^${n}`);
    is(own.log2(power), n, `log2 of 2^${n}`);
    is(own.pow(2, n), power, `pow(2, ${n})`);
  }
  power = 1;
  for (let n = 0; n <= 1023; n++, power *= 2) {
    is(own.powerOfTwo(n), power, `2^${n}`);
    is(own.log2(power), n, `log2 of 2^${n}`);
    is(own.pow(2, n), power, `pow(2, ${n})`);
  }
});

t("exp, expm1: everywhere, near 0, at the places where the exponent changes, and below 2^-1022", () => {
  for (const name of ["exp", "expm1"] as const) {
    compare(name, [
      ...many(() => between(-36, 709)),
      ...many(() => between(-1.1, 1.1)),
      ...many(() => magnitude(-60, 0)),
    ]);
    const ln2 = 0.6931471805599453;
    for (const half of [-3, -1, 1, 3, 5, 401, 2045]) {
      const x = (half / 2) * ln2;
      compare(name, [beside(x, -1), x, beside(x, 1), 2 * x > 709 ? 709 : 2 * x]);
    }
  }
  compare(
    "exp",
    many(() => between(-708, 0)),
  );
  compare("exp", [...many(() => between(-745.13, -708.3)), -745.1332191019411], 1);
  is(own.exp(-745.1332191019411), 5e-324);
  is(own.exp(-745.1332191019412), 0);
  compare("exp", [709.782712893384]);
  is(own.exp(709.7827128933841), Infinity);
  is(own.expm1(709.7827128933841), Infinity);
});

t("tanh, sigmoid, silu", () => {
  for (const name of ["tanh", "sigmoid", "silu"] as const) {
    compare(name, [...many(() => between(-2, 2)), ...many(() => magnitude(-1022, 4)), ...many(() => between(-36, 36))]);
  }
  compare(
    "sigmoid",
    many(() => between(-700, 0)),
  );
  compare(
    "silu",
    many(() => between(-700, 0)),
  );
  compare(
    "silu",
    many(() => between(-750, -716), 40),
    60,
  );
});

t("log, log2, log1p: all magnitudes, near 1, denormals", () => {
  const near = (): number => 1 + magnitude(-52, -2);
  for (const name of ["log", "log2"] as const) {
    compare(name, [...many(() => magnitude(-1074, 1023, false)), ...many(() => between(0.4, 2.5)), ...many(near)]);
    compare(name, [
      5e-324,
      1.4142135623730951,
      beside(1.4142135623730951, -1),
      beside(1, 1),
      beside(1, -1),
      1.7976931348623157e308,
    ]);
  }
  compare("log1p", [
    ...many(() => magnitude(-1022, 1022, false)),
    ...many(() => magnitude(-1074, -2)),
    ...many(() => between(-1, 1)),
  ]);
  compare("log1p", [beside(-1, -1), -0.29, beside(-0.29, 1), 0.41, beside(0.41, -1), 5e-324, 1.7976931348623157e308]);
});

t("sin, cos: up to the largest float64, near multiples of π / 2, and rope's angles", () => {
  for (const name of ["sin", "cos"] as const) {
    compare(name, [
      ...many(() => between(-10, 10)),
      ...many(() => magnitude(-1022, 0)),
      ...many(() => magnitude(0, 1023)),
    ]);
    compare(
      name,
      many(() => Math.round(between(0, 700_000)) * (Math.PI / 2)),
    );
    compare(
      name,
      many(() => beside(Math.round(magnitude(0, 50, false)) * (Math.PI / 2), r.int(-2, 2))),
    );
    compare(
      name,
      many(() => r.int(0, 2 ** 31 - 1)),
    );
    // The float64 nearest to a multiple of π / 2 for its size, 2^-60.9 from it (Muller, "Elementary Functions", table 9.1), and others.
    compare(name, [
      6381956970095103 * own.powerOfTwo(797),
      1.7976931348623157e308,
      0.785,
      beside(0.785, -1),
      1e6,
      beside(1e6, -1),
    ]);
    compare(name, [Math.PI / 4, Math.PI / 2, Math.PI, 2 * Math.PI, 1e22, 5e-324, 1e-8, beside(1e-8, -1)]);
  }
});

t("pow: all results that float64 has, and rope's frequencies", () => {
  const check = (x: number, y: number, bound = 1): void =>
    within(bound, `pow(${x}, ${y})`, own.pow(x, y), exact.exactPow(exact.fromFloat(x), exact.fromFloat(y)));
  for (let i = 0; i < 300; i++) {
    const x = i & 1 ? between(0.5, 2) : magnitude(-1074, 1023, false);
    const most = Math.min(708 / Math.abs(Math.log(x)), 1e300);
    check(x, between(-most, most));
  }
  for (let i = 0; i < 60; i++) {
    const x = between(0.6, 1.6);
    check(x, -between(709, 744) / Math.log(x), 1.2);
  }
  for (const base of [10000, 500000, 1e6, 1e7]) for (let j = 0; j < 128; j += 7) check(base, -j / 128);
  // The mantissa at which the series is longest, and as large an exponent as it allows.
  for (const x of [1.4142135623730951, beside(1.4142135623730951, -1), 0.7071067811865476]) {
    for (const y of [2040, -2040, 1999.9]) check(x, y);
  }
});

t("pow: powers that are float64 are exact", () => {
  for (let base = 2; base <= 1000; base++) {
    for (let n = 2, value = base * base; value <= Number.MAX_SAFE_INTEGER; n++, value *= base) {
      is(own.pow(base, n), value, `pow(${base}, ${n})`);
      is(own.pow(-base, n), n & 1 ? -value : value, `pow(-${base}, ${n})`);
    }
  }
  for (let root = 1; root < 2 ** 26; root = root * 3 + 2) {
    is(own.pow(root * root, 0.5), root, `pow(${root * root}, 0.5)`);
  }
});

t("zeros, infinities and NaN, as ECMAScript has them", () => {
  const values = [
    0,
    -0,
    1,
    -1,
    2,
    -2,
    3,
    -3,
    0.5,
    -0.5,
    1e300,
    -1e300,
    5e-324,
    -5e-324,
    2 ** 53,
    2 ** 53 + 2,
    -(2 ** 53),
    2 ** 52 + 1,
  ];
  const all = [...values, Infinity, -Infinity, Number.NaN];
  for (const x of all) {
    for (const y of all) {
      // Results that are exact in every engine.
      const expected = x ** y;
      if (expected === 0 || Math.abs(expected) === 1 || !Number.isFinite(expected)) {
        ok(Object.is(own.pow(x, y), expected), `pow(${x}, ${y}): expected ${expected}, got ${own.pow(x, y)}`);
      }
    }
  }
  const special = [0, -0, Infinity, -Infinity, Number.NaN];
  const expected: Record<Name, number[]> = {
    exp: [1, 1, Infinity, 0, Number.NaN],
    expm1: [0, -0, Infinity, -1, Number.NaN],
    tanh: [0, -0, 1, -1, Number.NaN],
    sigmoid: [0.5, 0.5, 1, 0, Number.NaN],
    silu: [0, -0, Infinity, -0, Number.NaN],
    log: [-Infinity, -Infinity, Infinity, Number.NaN, Number.NaN],
    log2: [-Infinity, -Infinity, Infinity, Number.NaN, Number.NaN],
    log1p: [0, -0, Infinity, Number.NaN, Number.NaN],
    sin: [0, -0, Number.NaN, Number.NaN, Number.NaN],
    cos: [1, 1, Number.NaN, Number.NaN, Number.NaN],
  };
  for (const [name, results] of Object.entries(expected)) {
    for (const [i, result] of results.entries()) {
      const got = own[name as Name](special[i] as number);
      ok(Object.is(got, result), `${name}(${special[i]}): expected ${result}, got ${got}`);
    }
  }
  ok(Number.isNaN(own.log(-1e-300)));
  is(own.log1p(-1), -Infinity);
  ok(Number.isNaN(own.log1p(beside(-1, 1))));
  is(own.log(1), 0);
  is(own.exp(1e300), Infinity);
  is(own.exp(-1e300), 0);
  is(own.tanh(1e300), 1);
});

t("odd functions are odd, even ones even, bit for bit", () => {
  for (const x of [...many(() => magnitude(-1074, 40)), 22, 0.3]) {
    for (const name of ["sin", "tanh"] as const) is(own[name](-x), -own[name](x), `${name}(${x})`);
    is(own.cos(-x), own.cos(x), `cos(${x})`);
  }
});
