// Assertions. uvu's own serve for scalars and small objects. They are not for typed arrays: a failing `equal` prints
// every element and its diff is quadratic (16,000 floats took 28 s), NaN differs from NaN, and -0 equals 0. For those
// there are equalBits, equalValues and nmseBelow, which take linear time and report in one line.

import { equal as uvuEqual } from "uvu/assert";

export { instance, is, match, not, ok, throws, type, unreachable } from "uvu/assert";

export type NumericArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array;

/** Deep equality of small plain values. */
export function equal(actual: unknown, expected: unknown, message?: string): void {
  if (ArrayBuffer.isView(actual) || ArrayBuffer.isView(expected)) {
    throw new TypeError("equal is not for typed arrays: use equalBits or equalValues");
  }
  uvuEqual(actual, expected, message);
}

/** A number, and for floats its bits, since 1.0000001 may print as 1. */
function show(value: number, isFloat: boolean): string {
  if (!isFloat) return String(value);
  const bits = new DataView(new ArrayBuffer(4));
  bits.setFloat32(0, value);
  return `${Object.is(value, -0) ? "-0" : value} (0x${bits.getUint32(0).toString(16).padStart(8, "0")})`;
}

function compare(
  actual: NumericArray,
  expected: NumericArray,
  label: string,
  same: (a: number, b: number) => boolean,
): void {
  if (actual.constructor !== expected.constructor) {
    throw new Error(`${label}: expected a ${expected.constructor.name}, got a ${actual.constructor.name}`);
  }
  if (actual.length !== expected.length) {
    throw new Error(`${label}: expected length ${expected.length}, got ${actual.length}`);
  }
  let count = 0;
  let first = -1;
  for (let i = 0; i < expected.length; i++) {
    if (same(actual[i] as number, expected[i] as number)) continue;
    if (count++ === 0) first = i;
  }
  if (count === 0) return;
  const isFloat = expected instanceof Float32Array || expected instanceof Float64Array;
  throw new Error(
    `${label}: ${count} of ${expected.length} values differ, the first at [${first}]: ` +
      `expected ${show(expected[first] as number, isFloat)}, got ${show(actual[first] as number, isFloat)}`,
  );
}

/** Equal bit for bit: -0 differs from 0. All NaNs are one, since WebAssembly does not fix their payload. */
export function equalBits(actual: NumericArray, expected: NumericArray, label: string): void {
  compare(actual, expected, label, Object.is);
}

/** Equal, with -0 the same as 0 and NaN the same as NaN: for sums whose sign of zero is not part of the contract. */
export function equalValues(actual: NumericArray, expected: NumericArray, label: string): void {
  compare(actual, expected, label, (a, b) => a === b || (Number.isNaN(a) && Number.isNaN(b)));
}

/** Σ(y-ŷ)² / Σy²; 0 when both sums are 0. */
export function nmse(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let error = 0;
  let power = 0;
  for (let i = 0; i < expected.length; i++) {
    const difference = (actual[i] as number) - (expected[i] as number);
    error += difference * difference;
    power += (expected[i] as number) * (expected[i] as number);
  }
  return error === 0 ? 0 : error / power;
}

/** The normalised mean square error is at most `bound`. A reference of zeros asks for zeros. */
export function nmseBelow(actual: ArrayLike<number>, expected: ArrayLike<number>, bound: number, label: string): void {
  if (actual.length !== expected.length) {
    throw new Error(`${label}: expected length ${expected.length}, got ${actual.length}`);
  }
  const measured = nmse(actual, expected);
  // Written so that NaN fails too.
  if (measured <= bound) return;
  throw new Error(`${label}: expected an NMSE of at most ${bound}, got ${measured}`);
}

// biome-ignore lint/suspicious/noExplicitAny: the parameters of a constructor are contravariant; no other type fits all
type ErrorClass = abstract new (...parameters: any[]) => Error;

function checkError(error: unknown, kind: ErrorClass, text: string | RegExp): void {
  const shown = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  if (!(error instanceof kind)) throw new Error(`expected a ${kind.name} with ${text}, got ${shown}`);
  const fits = typeof text === "string" ? error.message.includes(text) : text.test(error.message);
  if (!fits) throw new Error(`expected a ${kind.name} with ${text}, got ${shown}`);
}

/** `body` throws an error of that class whose message contains `text` (or matches it). */
export function throwsWith(body: () => unknown, kind: ErrorClass, text: string | RegExp): void {
  let caught: unknown;
  try {
    body();
  } catch (error) {
    caught = error;
  }
  if (caught === undefined) throw new Error(`expected a ${kind.name} with ${text}, but nothing was thrown`);
  checkError(caught, kind, text);
}

/** Likewise for a promise. */
export async function rejectsWith(promise: Promise<unknown>, kind: ErrorClass, text: string | RegExp): Promise<void> {
  let caught: unknown;
  try {
    await promise;
  } catch (error) {
    caught = error;
  }
  if (caught === undefined) throw new Error(`expected a ${kind.name} with ${text}, but the promise was fulfilled`);
  checkError(caught, kind, text);
}
