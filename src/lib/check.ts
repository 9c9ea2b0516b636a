// Argument checks, all in one form: «<function>: <argument>: expected <what>, got <what>».
// TypeError for a wrong type, RangeError for a wrong value.

/** Largest number of columns: |Σ| <= 2 planes · 127 · cols must stay below 2^31. */
export const MAX_COLS = 8_388_608;

/** Largest number of rows: addresses of one row's scales and sums stay far from 2^32. */
export const MAX_ROWS = 268_435_456;

/** How a value is named in a message. */
export function describe(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (ArrayBuffer.isView(value)) {
    const view = value as ArrayBufferView & { length?: number };
    return `${view.constructor.name} of length ${view.length ?? view.byteLength}`;
  }
  if (typeof value === "object" && value !== null) return value.constructor?.name ?? "object";
  return typeof value === "function" ? "function" : String(value);
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

export function checkOptions(where: string, value: unknown): void {
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

/** A Float32Array of `length`; `shape` says where the length comes from. */
export function checkFloats(where: string, value: unknown, length: number, shape: string): Float32Array {
  if (!(value instanceof Float32Array)) throw typeError(where, "a Float32Array", value);
  checkLength(where, value, length, shape);
  return value;
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

interface Shape {
  readonly rows: number;
  readonly cols: number;
}

/** The arguments of gemv: x [cols], out [rows] if there is one. */
export function checkGemv(where: string, { rows, cols }: Shape, x: unknown, out: unknown): void {
  checkFloats(`${where}: x`, x, cols, `cols ${cols}`);
  if (out !== undefined) checkFloats(`${where}: out`, out, rows, `rows ${rows}`);
}

/** The arguments of gemm: x [n, cols], out [n, rows] if there is one. */
export function checkGemm(where: string, { rows, cols }: Shape, x: unknown, n: unknown, out: unknown): void {
  const tokens = checkInteger(`${where}: n`, n, 1, 2 ** 31 - 1);
  checkFloats(`${where}: x`, x, tokens * cols, `n ${n} x cols ${cols}`);
  if (out !== undefined) checkFloats(`${where}: out`, out, tokens * rows, `n ${n} x rows ${rows}`);
}
