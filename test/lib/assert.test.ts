// The assertions and the random data themselves.

import { equalBits, equalValues, is, match, nmseBelow, not, ok, rejectsWith, throwsWith } from "./assert.ts";
import { hostileActivations, hostileWeights, random } from "./random.ts";
import { suite } from "./suite.ts";

const floats = (...values: number[]): Float32Array => Float32Array.from(values);

function messageOf(body: () => void): string {
  try {
    body();
  } catch (error) {
    return (error as Error).message;
  }
  return "";
}

const assertions = suite("assertions");

assertions("equalBits tells the first difference and their number", () => {
  equalBits(floats(1, NaN, -0), floats(1, NaN, -0), "same");
  const message = messageOf(() => equalBits(floats(1, 2, -0), floats(1, 2.5, 0), "y"));
  is(message, "y: 2 of 3 values differ, the first at [1]: expected 2.5 (0x40200000), got 2 (0x40000000)");
  match(
    messageOf(() => equalBits(Int8Array.of(1), Int8Array.of(3), "q")),
    /expected 3, got 1/,
  );
  match(
    messageOf(() => equalBits(floats(1), floats(1, 2), "y")),
    /expected length 2, got 1/,
  );
  match(
    messageOf(() => equalBits(floats(1), Int8Array.of(1), "y")),
    /expected a Int8Array, got a Float32Array/,
  );
});

assertions("all NaNs are one", () => {
  const odd = new Float32Array(Uint32Array.of(0xffc00001).buffer);
  equalBits(odd, floats(NaN), "NaN");
  throwsWith(() => equalBits(odd, floats(1), "NaN"), Error, "got NaN");
});

assertions("equalValues takes -0 for 0 and nothing else", () => {
  equalValues(floats(-0, 0, NaN), floats(0, -0, NaN), "zeros");
  throwsWith(() => equalValues(floats(1e-45), floats(0), "denormal"), Error, "1 of 1 values differ");
});

assertions("nmseBelow", () => {
  nmseBelow([1, 2.01], [1, 2], 2.1e-5, "near");
  throwsWith(() => nmseBelow([1, 2.01], [1, 2], 1.9e-5, "far"), Error, /far: expected an NMSE of at most 0.000019/);
  nmseBelow([0, -0], [0, 0], 0, "zeros");
  throwsWith(() => nmseBelow([0, 1e-9], [0, 0], 1, "not zeros"), Error, "got Infinity");
  throwsWith(() => nmseBelow([NaN, 1], [1, 1], 1, "NaN"), Error, "got NaN");
});

assertions("throwsWith and rejectsWith look at class and message", async () => {
  const fail = (): never => {
    throw new RangeError("a: b: expected c");
  };
  throwsWith(fail, RangeError, "b: expected");
  throwsWith(fail, RangeError, /^a: b/);
  throwsWith(() => throwsWith(fail, TypeError, "b"), Error, "expected a TypeError");
  throwsWith(() => throwsWith(fail, RangeError, "else"), Error, "got RangeError: a: b: expected c");
  throwsWith(() => throwsWith(() => {}, RangeError, "b"), Error, "nothing was thrown");
  await rejectsWith((async () => fail())(), RangeError, "a: b");
  await rejectsWith(rejectsWith(Promise.resolve(), RangeError, "b"), Error, "fulfilled");
});

assertions("stay fast on large arrays", () => {
  const a = new Float32Array(2_000_000);
  const b = new Float32Array(2_000_000).fill(1);
  const started = performance.now();
  match(
    messageOf(() => equalBits(a, b, "large")),
    /2000000 of 2000000/,
  );
  ok(performance.now() - started < 2000);
});

const randomness = suite("random data");

randomness("a seed and a label fix the stream", () => {
  const first = random("a", 5);
  const again = random("a", 5);
  equalBits(first.gaussians(100), again.gaussians(100), "same stream");
  not(random("b", 5).bits() === random("a", 5).bits());
  not(random("a", 6).bits() === random("a", 5).bits());
});

randomness("is spread as it should be", () => {
  const rng = random("moments");
  const n = 100_000;
  let sum = 0;
  let squares = 0;
  for (const value of rng.gaussians(n)) {
    sum += value;
    squares += value * value;
  }
  // Six deviations of the estimates.
  ok(Math.abs(sum / n) < 6 / Math.sqrt(n), `mean ${sum / n}`);
  ok(Math.abs(squares / n - 1) < 6 * Math.sqrt(2 / n), `variance ${squares / n}`);
  const counts = [0, 0, 0];
  for (const trit of rng.trits(n)) counts[trit + 1] = (counts[trit + 1] as number) + 1;
  for (const count of counts) ok(Math.abs(count - n / 3) < 6 * Math.sqrt(n), `trits ${counts}`);
  const plus = rng.signs(n).reduce((total, sign) => total + sign, 0);
  ok(Math.abs(plus) < 6 * Math.sqrt(n), `signs ${plus}`);
});

randomness("hostile data is finite and has the length asked for", () => {
  const rng = random("hostile");
  for (const length of [1, 2, 7, 513]) {
    for (const { name, x } of hostileActivations(length, rng)) {
      is(x.length, length, name);
      ok(x.every(Number.isFinite), name);
    }
  }
  for (const { name, codes } of hostileWeights(3, 5, [-1, 1, 0], rng)) {
    is(codes.length, 15, name);
    ok(
      codes.every((code) => code >= -1 && code <= 1),
      name,
    );
  }
});
