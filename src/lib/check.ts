// Argument checks, all in one form: «<function>: <argument>: expected <what>, got <what>».
// TypeError for a wrong type, RangeError for a wrong value.
import { type ArrayKind, type ArrayOf, isGone, kindOf, lengthOf, viewOf } from "./arrays.ts";

/** Largest number of columns: |Σ| <= 2 planes · 127 · cols must stay below 2^31. */
export const MAX_COLS = 8_388_608;

/** Largest number of rows: addresses of one row's scales and sums stay far from 2^32. */
export const MAX_ROWS = 268_435_456;

/** How a value is named in a message. */
export function describe(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.length > 200 ? `${value.slice(0, 200)}…` : value);
  if (ArrayBuffer.isView(value)) {
    return isGone(value) ? `a detached ${kindOf(value)}` : `${kindOf(value)} of length ${lengthOf(value)}`;
  }
  if (typeof value === "object" && value !== null) return classNameOf(value) ?? "object";
  return typeof value === "function" ? "function" : String(value);
}

// A message must not fail because of what it is about: getters and proxies may throw.
function classNameOf(value: object): string | undefined {
  try {
    const name: unknown = value.constructor?.name;
    return typeof name === "string" && name !== "" ? name : undefined;
  } catch {
    return undefined;
  }
}

export function typeError(where: string, expected: string, got: unknown): TypeError {
  return new TypeError(`${where}: expected ${expected}, got ${describe(got)}`);
}

export function rangeError(where: string, expected: string, got: unknown): RangeError {
  return new RangeError(`${where}: expected ${expected}, got ${typeof got === "string" ? got : describe(got)}`);
}

/** An integer in min..max. */
export function checkInteger(where: string, value: unknown, min: number, max: number): number {
  if (typeof value !== "number") throw typeError(where, `an integer from ${min} to ${max}`, value);
  if (!Number.isInteger(value) || value < min || value > max) {
    throw rangeError(where, `an integer from ${min} to ${max}`, value);
  }
  return value;
}

export function checkOptions(where: string, value: unknown): asserts value is object {
  if (typeof value !== "object" || value === null || Array.isArray(value) || ArrayBuffer.isView(value)) {
    throw typeError(where, "an object", value);
  }
}

/** One of a list of strings. */
export function checkChoice<T extends string>(where: string, value: unknown, choices: readonly T[]): T {
  const expected = choices.map((c) => JSON.stringify(c)).join(" | ");
  if (typeof value !== "string") throw typeError(where, expected, value);
  const found = choices.find((c) => c === value);
  if (found === undefined) throw rangeError(where, expected, JSON.stringify(value));
  return found;
}

/**
 * An array of one of these kinds, of any realm or subclass: a view of ours on the same memory, whose length is the true one
 * and stays what it is.
 *
 * @throws TypeError for anything else, and for an array whose memory is gone
 */
export function checkArray<K extends ArrayKind>(
  where: string,
  value: unknown,
  kinds: readonly K[],
  expected?: string,
): ArrayOf<K> {
  const found = kindOf(value);
  const kind = kinds.find((one) => one === found);
  // What was expected is put into words only here: short calls check as much as they compute.
  if (kind === undefined || isGone(value as ArrayBufferView))
    throw typeError(where, expected ?? withArticle(kinds), value);
  return viewOf(value as ArrayBufferView, kind);
}

function withArticle(kinds: readonly string[]): string {
  return kinds.map((kind) => `${/^[AEIO]/.test(kind) ? "an" : "a"} ${kind}`).join(" or ");
}

/** A Float32Array of any length, as `checkArray` gives it. */
export function checkFloatArray(where: string, value: unknown): Float32Array {
  if (kindOf(value) !== "Float32Array") throw typeError(where, floatsExpected(value), value);
  return checkArray(where, value, FLOATS);
}

/** A Float32Array of `length`, as `checkArray` gives it; `shape` says where the length comes from. */
export function checkFloats(where: string, value: unknown, length: number, shape: string): Float32Array {
  const floats = checkFloatArray(where, value);
  checkLength(where, floats, length, shape);
  return floats;
}

const FLOATS = ["Float32Array"] as const;

/** What a message says that wants floats and got `value`: nothing guesses which kind 16 bits are. */
function floatsExpected(value: unknown): string {
  const kind = kindOf(value);
  return kind === "Uint16Array" || kind === "Int16Array"
    ? 'a Float32Array, or 16-bit numbers whose type is named, { dtype: "float16" | "bfloat16", data },'
    : "a Float32Array";
}

export function checkLength(where: string, value: ArrayLike<unknown>, length: number, shape: string): void {
  if (value.length !== length) throw rangeError(where, `length ${length} (${shape})`, String(value.length));
}

/** Refuses NaN and Infinity, naming the first index. */
export function checkFinite(where: string, values: Float32Array, expected = "finite numbers"): void {
  for (let i = 0; i < values.length; i++) {
    if (!Number.isFinite(values[i])) throw rangeError(where, expected, `${values[i]} at index ${i}`);
  }
}
