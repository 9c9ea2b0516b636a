// Outputs that overlap inputs in any way, and options that are read once.
import { attend, type ComplexArray, gate, rmsNorm, rope, scores } from "../../../src/llm/complex/index.ts";
import { equalBits, is, ok, throwsWith } from "../../lib/assert.ts";
import { random } from "../../lib/random.ts";
import { suite } from "../../lib/suite.ts";

const t = suite("complex: out and inputs in one memory");
const rng = random("complex overlap");
const [heads, headDim, tokens] = [2, 6, 5];
const size = heads * headDim;
const options = { heads, headDim };

type Call = (inputs: readonly ComplexArray[], out?: ComplexArray) => ComplexArray;
/** Each function with the lengths of its inputs. */
const calls: Readonly<Record<string, readonly [readonly number[], Call]>> = {
  gate: [[tokens * size, tokens * size], ([a, b], out) => gate(a as ComplexArray, b as ComplexArray, out)],
  rmsNorm: [[tokens * size, size], ([x, gain], out) => rmsNorm(x as ComplexArray, gain as ComplexArray, 1e-5, out)],
  rope: [[tokens * size], ([x], out) => rope(x as ComplexArray, 3, { ...options, base: 10000 }, out)],
  attend: [
    [tokens * size, (tokens + 2) * size, (tokens + 2) * size],
    ([q, k, v], out) => attend(q as ComplexArray, k as ComplexArray, v as ComplexArray, options, out),
  ],
};

for (const [name, [lengths, call]] of Object.entries(calls)) {
  t(name, () => {
    for (let trial = 0; trial < 300; trial++) {
      const given = lengths.map((length) => ({ re: rng.gaussians(length), im: rng.gaussians(length) }));
      const expected = call(given);
      const { length } = expected.re;
      const shared = rng.int(0, 1) === 0;
      const all = lengths.reduce((sum, one) => sum + 2 * one, 0);
      const buffer = shared ? new SharedArrayBuffer(4 * (all + 2 * length)) : new ArrayBuffer(4 * (all + 2 * length));
      const other = shared ? structuredClone(buffer) : buffer;
      let at = 0;
      const place = (values: Float32Array): Float32Array => {
        const array = new Float32Array(buffer, 4 * at, values.length);
        array.set(values);
        at += values.length;
        return array;
      };
      const inputs = given.map(({ re, im }) => ({ re: place(re), im: place(im) }));
      // Anywhere, or just where an input is; its parts apart from each other.
      const places = [0, rng.int(0, all), ...lengths.map((_, i) => (inputs[i] as ComplexArray).re.byteOffset / 4)];
      const first = places[rng.int(0, places.length - 1)] as number;
      const second = first >= length && rng.int(0, 1) === 0 ? rng.int(0, first - length) : first + length;
      if (second > all + length || first > all + length) continue;
      const out = { re: new Float32Array(other, 4 * first, length), im: new Float32Array(other, 4 * second, length) };
      is(call(inputs, out), out);
      equalBits(out.re, expected.re, `${name}: re at ${first}, im at ${second}`);
      equalBits(out.im, expected.im, `${name}: re at ${first}, im at ${second}`);
      const both = { re: new Float32Array(buffer, 0, length), im: new Float32Array(other, 4 * (length - 1), length) };
      throwsWith(() => call(given, both), RangeError, /: out\.im: expected other memory than that of re/);
    }
  });
}

t("scores", () => {
  const [q, k] = [tokens, tokens + 2].map((n) => ({ re: rng.gaussians(n * size), im: rng.gaussians(n * size) }));
  const expected = scores(q as ComplexArray, k as ComplexArray, options);
  for (const part of ["re", "im"] as const) {
    for (let shift = 0; shift < 40; shift += 13) {
      const buffer = new Float32Array(4 * expected.length + tokens * size);
      const input = buffer.subarray(shift, shift + tokens * size);
      input.set((q as ComplexArray)[part]);
      const out = buffer.subarray(0, expected.length);
      is(scores({ ...(q as ComplexArray), [part]: input }, k as ComplexArray, options, out), out);
      equalBits(out.slice(), expected, `${part} ${shift}`);
    }
  }
});

t("attend writes nothing before all is known to be finite", () => {
  const [q, k, v] = [tokens, tokens, tokens].map((n) => ({ re: rng.gaussians(n * size), im: rng.gaussians(n * size) }));
  (v as ComplexArray).im[tokens * size - 1] = Number.NaN;
  const out = { re: new Float32Array(tokens * size).fill(7), im: new Float32Array(tokens * size).fill(7) };
  const call = (): unknown => attend(q as ComplexArray, k as ComplexArray, v as ComplexArray, options, out);
  throwsWith(call, RangeError, /^attend: v\.im: /);
  ok(out.re.every((value) => value === 7) && out.im.every((value) => value === 7));
});

t("options and parts are read once; unknown options are refused", () => {
  let reads = 0;
  const x = {
    im: rng.gaussians(size),
    get re() {
      return reads++ === 0 ? first : new Float32Array(1);
    },
  };
  const first = rng.gaussians(size);
  rope(x, 0, { ...options, base: 10 });
  is(reads, 1);
  const wrong = { ...options, bases: 3, base: 3 };
  throwsWith(() => rope({ re: first, im: first }, 0, wrong), TypeError, /^rope: options: .*"base".*"bases"/);
});
