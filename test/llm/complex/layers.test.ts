// lowbit/complex against test/reference/ifairy.ts, number by number.
import type { ComplexArray } from "../../../src/lib/complex-array.ts";
import { attend, gate, rmsNorm, rope, scores } from "../../../src/llm/complex/index.ts";
import * as assert from "../../lib/assert.ts";
import { random } from "../../lib/random.ts";
import { suite } from "../../lib/suite.ts";
import { attended, type Complex, gated, rmsNormOf, rotated, scoreOf } from "../../reference/ifairy.ts";

const t = suite("complex layers");
const r = random("complex layers");

const gaussians = (length: number): ComplexArray => ({ re: r.gaussians(length), im: r.gaussians(length) });
const complex = (re: number[], im: number[]): ComplexArray => ({
  re: Float32Array.from(re),
  im: Float32Array.from(im),
});
const copy = ({ re, im }: ComplexArray): ComplexArray => ({ re: re.slice(), im: im.slice() });

/** Rows of `size` complex numbers. */
function rowsOf({ re, im }: ComplexArray, size: number): Complex[][] {
  return Array.from({ length: re.length / size }, (_, row) =>
    Array.from({ length: size }, (_, j) => ({ re: re[row * size + j] as number, im: im[row * size + j] as number })),
  );
}

/** Each part within half a step of float32, and an error of float64 sums of terms as large as `terms`. */
function near(actual: ComplexArray, expected: readonly Complex[], terms: number, label: string): void {
  assert.is(actual.re.length, expected.length, label);
  assert.is(actual.im.length, expected.length, label);
  for (const [i, value] of expected.entries()) {
    for (const part of ["re", "im"] as const) {
      const difference = Math.abs((actual[part][i] as number) - value[part]);
      const allowed = 2 ** -24 * Math.abs(value[part]) * (1 + 1e-6) + 2 ** -150 + 1e-13 * terms;
      assert.ok(difference <= allowed, `${label}: ${part}[${i}]: expected ${value[part]}, got ${actual[part][i]}`);
    }
  }
}

function same(actual: ComplexArray, expected: ComplexArray, label: string): void {
  assert.equalBits(actual.re, expected.re, `${label} re`);
  assert.equalBits(actual.im, expected.im, `${label} im`);
}

t("rmsNorm: the definition, token by token, also in place", () => {
  for (const [tokens, size] of [
    [1, 1],
    [1, 7],
    [3, 64],
    [5, 33],
  ] as const) {
    const x = gaussians(tokens * size);
    const gain = gaussians(size);
    const expected = rowsOf(x, size).flatMap((row) => rmsNormOf(row, rowsOf(gain, size)[0] as Complex[], 1e-5));
    const y = rmsNorm(x, gain, 1e-5);
    near(y, expected, 1, `${tokens} x ${size}`);
    assert.is(rmsNorm(x, gain, 1e-5, x), x);
    same(x, y, "in place");
  }
});

t("rmsNorm: the mean is of |x|², not of 2 · size reals, and gains do not mix parts", () => {
  const y = rmsNorm(complex([3, 0], [0, 4]), complex([1, 1], [2, 2]), 1e-30);
  const root = Math.sqrt((9 + 16) / 2);
  near(
    y,
    [
      { re: 3 / root, im: 0 },
      { re: 0, im: 8 / root },
    ],
    0,
    "by hand",
  );
});

t("rmsNorm: zeros, denormals and the largest float32", () => {
  const one = complex([1, 1], [1, 1]);
  same(rmsNorm(complex([0, 0], [0, 0]), one, 1e-320), complex([0, 0], [0, 0]), "zeros");
  same(rmsNorm(complex([0, 0], [0, 0]), one, 1e-5), complex([0, 0], [0, 0]), "zeros");
  const tiny = 2 ** -149;
  same(rmsNorm(complex([tiny, tiny], [0, 0]), one, 1e-300), complex([1, 1], [0, 0]), "denormals");
  same(rmsNorm(complex([tiny, tiny], [0, 0]), one, 1), complex([tiny, tiny], [0, 0]), "denormals beside eps");
  const huge = 2 ** 127;
  same(rmsNorm(complex([huge, huge], [0, -0]), one, 1), complex([1, 1], [0, -0]), "large");
});

t("rope: the definition, heads alike, odd dimensions, in place", () => {
  for (const [tokens, heads, headDim, first] of [
    [1, 1, 1, 0],
    [1, 1, 5, 3],
    [4, 3, 7, 1000],
    [3, 2, 64, 2047],
  ] as const) {
    const x = gaussians(tokens * heads * headDim);
    const expected = rowsOf(x, headDim).flatMap((row, i) => rotated(row, first + Math.floor(i / heads), 10000));
    const options = { heads, headDim, base: 10000 };
    const y = rope(x, first, options);
    // The angle itself is rounded: 2^-52 of it.
    near(y, expected, 40 * (first + tokens), `${tokens} x ${heads} x ${headDim} at ${first}`);
    same(
      rope(
        x,
        Int32Array.from({ length: tokens }, (_, i) => first + i),
        options,
      ),
      y,
      "positions one by one",
    );
    assert.is(rope(x, first, options, x), x);
    same(x, y, "in place");
  }
});

t("rope: position 0 changes nothing, a quarter turn is i, the largest position is exact enough", () => {
  const x = gaussians(2 * 9);
  same(rope(x, [0, 0], { heads: 1, headDim: 9, base: 500000 }), x, "position 0");
  // base 1: every element turns by its position.
  const turned = rope(complex([1, 0], [0, 1]), [1, 2], { heads: 1, headDim: 1, base: 1 });
  near(
    turned,
    [
      { re: Math.cos(1), im: Math.sin(1) },
      { re: -Math.sin(2), im: Math.cos(2) },
    ],
    1,
    "by hand",
  );
  const last = 2 ** 31 - 1;
  const y = rope(complex([1, 1, 1], [0, 0, 0]), last, { heads: 1, headDim: 3, base: 10000 });
  near({ re: y.re.subarray(0, 1), im: y.im.subarray(0, 1) }, [{ re: Math.cos(last), im: Math.sin(last) }], 0, "last");
  for (const [j, expected] of rotated(
    rowsOf(complex([1, 1, 1], [0, 0, 0]), 3)[0] as Complex[],
    last,
    10000,
  ).entries()) {
    assert.ok(Math.abs((y.re[j] as number) - expected.re) <= 2 ** -21, `re[${j}]`);
    assert.ok(Math.abs((y.im[j] as number) - expected.im) <= 2 ** -21, `im[${j}]`);
  }
});

t("scores: the real part of the Hermitian product, and after rope only of the distance", () => {
  for (const [queries, keys, heads, headDim] of [
    [1, 1, 1, 1],
    [2, 5, 3, 7],
    [4, 4, 1, 32],
  ] as const) {
    const q = gaussians(queries * heads * headDim);
    const k = gaussians(keys * heads * headDim);
    const expected = Array.from({ length: heads }, (_, head) =>
      Array.from({ length: queries }, (_, i) =>
        Array.from({ length: keys }, (_, j) =>
          scoreOf(rowsOf(q, headDim)[i * heads + head] as Complex[], rowsOf(k, headDim)[j * heads + head] as Complex[]),
        ),
      ),
    ).flat(2);
    const y = scores(q, k, { heads, headDim });
    near(
      { re: y, im: new Float32Array(y.length) },
      expected.map((re) => ({ re, im: 0 })),
      headDim,
      `${queries} x ${keys}`,
    );
    const out = new Float32Array(y.length);
    assert.is(scores(q, k, { heads, headDim }, out), out);
    assert.equalBits(out, y, "out");

    const at = (first: number): Float32Array => {
      const options = { heads, headDim, base: 10000 };
      return scores(rope(q, first + 3, options), rope(k, first, options), options);
    };
    assert.nmseBelow(at(700), at(0), 1e-12, "moved by 700");
  }
});

t("attend: causal, one softmax for both parts, with keys of earlier tokens", () => {
  for (const [queries, keys, heads, headDim] of [
    [1, 1, 1, 1],
    [1, 9, 2, 5],
    [4, 4, 3, 7],
    [3, 8, 1, 16],
  ] as const) {
    const size = heads * headDim;
    const q = gaussians(queries * size);
    const k = gaussians(keys * size);
    const v = gaussians(keys * size);
    const headsOf = (x: ComplexArray, head: number): Complex[][] =>
      rowsOf(x, headDim).filter((_, i) => i % heads === head);
    const expected: Complex[] = [];
    for (let i = 0; i < queries; i++) {
      for (let head = 0; head < heads; head++) {
        const seen = keys - queries + i + 1;
        expected.push(
          ...attended(
            headsOf(q, head)[i] as Complex[],
            headsOf(k, head).slice(0, seen),
            headsOf(v, head).slice(0, seen),
          ),
        );
      }
    }
    const options = { heads, headDim };
    const y = attend(q, k, v, options);
    near(y, expected, 10, `${queries} of ${keys}, ${heads} x ${headDim}`);

    // Decode: the last query alone is the same, bit for bit.
    const last = {
      re: q.re.subarray((queries - 1) * size),
      im: q.im.subarray((queries - 1) * size),
    };
    const tail = { re: y.re.slice((queries - 1) * size), im: y.im.slice((queries - 1) * size) };
    same(attend(last, k, v, options), tail, "decode");
    assert.is(attend(q, k, v, options, q), q);
    same(q, y, "in place of q");
  }
});

t("attend: scores of any size, and one key gives its value", () => {
  const big = 2 ** 100;
  const one = { heads: 1, headDim: 1 };
  // Scores 2^200, 0 and -2^200: the first key has all the weight.
  const q = complex([0, 0, big], [0, 0, 0]);
  const k = complex([big, 0, -big], [0, 0, 0]);
  const v = complex([1, 2, 3], [-1, -2, -3]);
  const y = attend(q, k, v, one);
  same({ re: y.re.subarray(2), im: y.im.subarray(2) }, complex([1], [-1]), "all weight");
  const lone = gaussians(1);
  same(attend(complex([5], [6]), complex([big], [big]), lone, one), lone, "one key");
  same(
    attend(complex([1], [1]), complex([1, 1], [1, 1]), complex([3e38, 3e38], [0, 0]), one),
    complex([3e38], [0]),
    "mean of large values",
  );
});

t("gate: by hand, the definition, in place", () => {
  const act = complex([2, -2, 2, -2, -0, 0, -3], [3, 3, -3, -3, -1, 0, 0]);
  const up = complex([1, 1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0, 0]);
  // Both parts negative gives 0; -0 is not negative, so neither is -0 - i.
  const y = gate(act, up);
  assert.equalValues(y.re, Float32Array.of(4, 4, 4, 0, 0, 0, 9), "re");
  assert.equalValues(y.im, Float32Array.of(-9, -9, -9, 0, -1, 0, 0), "im");
  const a = gaussians(97);
  const u = gaussians(97);
  const expected = rowsOf(a, 1).map((one, i) => gated(one[0] as Complex, rowsOf(u, 1)[i]?.[0] as Complex));
  const result = gate(a, u);
  near(result, expected, 100, "random");
  const [a2, u2] = [copy(a), copy(u)];
  assert.is(gate(a2, u, a2), a2);
  assert.is(gate(a, u2, u2), u2);
  same(a2, result, "in place of act");
  same(u2, result, "in place of up");
});

t("gate: beyond float32 is infinite, and what follows refuses that", () => {
  const y = gate(complex([1e30], [0]), complex([1], [-1]));
  assert.equalBits(y.re, Float32Array.of(Infinity), "re");
  assert.equalBits(y.im, Float32Array.of(-Infinity), "im");
  assert.throwsWith(() => rmsNorm(y, complex([1], [1]), 1e-5), RangeError, "rmsNorm: x.re: expected finite");
  same(gate(complex([1e-40], [0]), complex([1], [1])), complex([0], [0]), "below float32");
});

t("wrong arguments are named", () => {
  const x = gaussians(6);
  const short = gaussians(5);
  const nan = copy(x);
  nan.im[4] = Number.NaN;
  const infinite = copy(x);
  infinite.re[2] = Number.POSITIVE_INFINITY;
  const heads = { heads: 1, headDim: 3 };
  const rotary = { ...heads, base: 10000 };
  const gain = gaussians(3);
  const broken = { re: x.re, im: x.im.subarray(1) };
  // biome-ignore lint/suspicious/noExplicitAny: wrong types are the point
  const wrong = (value: unknown): any => value;
  const cases: [() => unknown, typeof TypeError, string][] = [
    [() => rmsNorm(wrong(null), gain, 1e-5), TypeError, "rmsNorm: x: expected an object, got null"],
    [() => rmsNorm(wrong({ re: [1], im: [1] }), gain, 1e-5), TypeError, "rmsNorm: x.re: expected a Float32Array"],
    [() => rmsNorm(broken, gain, 1e-5), RangeError, "rmsNorm: x.im: expected length 6 (as long as re), got 5"],
    [
      () => rmsNorm(short, gain, 1e-5),
      RangeError,
      "rmsNorm: x.re: expected a multiple of 3 (the length of gain) as length, got 5",
    ],
    [() => rmsNorm(gaussians(0), gain, 1e-5), RangeError, "rmsNorm: x.re: expected at least one number, got 0"],
    [() => rmsNorm(x, gaussians(0), 1e-5), RangeError, "rmsNorm: gain.re: expected at least one"],
    [() => rmsNorm(nan, gain, 1e-5), RangeError, "rmsNorm: x.im: expected finite numbers, got NaN at index 4"],
    [() => rmsNorm(x, gain, 0), RangeError, "rmsNorm: eps: expected a positive, finite number, got 0"],
    [() => rmsNorm(x, gain, wrong("1")), TypeError, "rmsNorm: eps"],
    [() => rmsNorm(x, gain, 1e-5, short), RangeError, "rmsNorm: out.re: expected length 6"],
    [() => rope(x, 0, wrong(undefined)), TypeError, "rope: options: expected an object"],
    [() => rope(x, 0, { ...rotary, heads: 0 }), RangeError, "rope: heads"],
    [() => rope(x, 0, { ...rotary, headDim: 4 }), RangeError, "rope: x.re: expected a multiple of 4"],
    [() => rope(x, 0, { ...rotary, base: -1 }), RangeError, "rope: base"],
    [() => rope(x, -1, rotary), RangeError, "rope: positions: expected an integer from 0"],
    [() => rope(x, 2 ** 31 - 1, rotary), RangeError, "rope: positions"],
    [() => rope(x, wrong("0"), rotary), TypeError, "rope: positions: expected an integer or an array"],
    [() => rope(x, [0], rotary), RangeError, "rope: positions: expected length 2"],
    [() => rope(x, [0, 0.5], rotary), RangeError, "rope: positions[1]: expected an integer"],
    [() => rope(infinite, 0, rotary), RangeError, "rope: x.re: expected finite numbers, got Infinity at index 2"],
    [() => scores(x, short, heads), RangeError, "scores: k.re"],
    [() => scores(x, nan, heads), RangeError, "scores: k.im: expected finite numbers, got NaN at index 4"],
    [() => scores(x, x, heads, new Float32Array(3)), RangeError, "scores: out: expected length 4"],
    [() => attend(x, gaussians(3), gaussians(3), heads), RangeError, "attend: k: expected at least 2 tokens"],
    [() => attend(x, x, short, heads), RangeError, "attend: v.re: expected length 6 (as long as k), got 5"],
    [() => attend(infinite, x, x, heads), RangeError, "attend: q.re: expected finite numbers, got Infinity"],
    [() => attend(x, nan, x, heads), RangeError, "attend: k.im: expected finite numbers, got NaN"],
    [() => attend(x, x, nan, heads), RangeError, "attend: v.im: expected finite numbers, got NaN"],
    // A score of -Infinity would leave a finite result.
    [
      () => attend(complex([1], [0]), complex([-Infinity, 1], [0, 0]), gaussians(2), { heads: 1, headDim: 1 }),
      RangeError,
      "attend: k.re: expected finite numbers, got -Infinity at index 0",
    ],
    [() => gate(x, short), RangeError, "gate: up.re: expected length 6 (as long as act), got 5"],
    [() => gate(gaussians(0), gaussians(0)), RangeError, "gate: act.re: expected at least one number, got 0"],
    [() => gate(nan, x), RangeError, "gate: act.im"],
    [() => gate(x, nan), RangeError, "gate: up.im"],
    [() => gate(x, x, short), RangeError, "gate: out.re"],
  ];
  for (const [call, kind, text] of cases) assert.throwsWith(call, kind, text);
});
