// Arguments and results that are complex numbers of several tokens.
import { checkFinite, checkInteger, checkOptions, MAX_COLS, rangeError, typeError } from "../../lib/check.ts";
import { type ComplexArray, checkComplex } from "../../lib/complex-array.ts";

export interface HeadOptions {
  readonly heads: number;
  /** Complex numbers of a head. */
  readonly headDim: number;
}

/** Checks the options that all functions of heads take. */
export function checkHeads(where: string, options: HeadOptions): HeadOptions {
  checkOptions(`${where}: options`, options);
  checkInteger(`${where}: heads`, options.heads, 1, MAX_COLS);
  checkInteger(`${where}: headDim`, options.headDim, 1, MAX_COLS);
  return options;
}

/** How many tokens of `size` numbers there are. */
export function tokensOf(where: string, x: ComplexArray, size: number, shape: string): number {
  const length = lengthOf(where, x);
  if (length % size !== 0) throw rangeError(`${where}.re`, `a multiple of ${size} (${shape}) as length`, length);
  return length / size;
}

/** How many numbers there are, at least one. */
export function lengthOf(where: string, x: ComplexArray): number {
  const length = x?.re instanceof Float32Array ? x.re.length : 0;
  checkComplex(where, x, length, "as long as re");
  if (length === 0) throw rangeError(`${where}.re`, "at least one number", length);
  return length;
}

/** Refuses NaN and Infinity in either part. */
export function checkFiniteComplex(where: string, { re, im }: ComplexArray): void {
  checkFinite(`${where}.re`, re);
  checkFinite(`${where}.im`, im);
}

/** `out` if it is `length` long, new arrays without it. */
export function outputOf(where: string, out: ComplexArray | undefined, length: number): ComplexArray {
  if (out === undefined) return { re: new Float32Array(length), im: new Float32Array(length) };
  checkComplex(`${where}: out`, out, length, "as long as the input");
  return out;
}

export function checkPositive(where: string, value: number): number {
  if (typeof value !== "number") throw typeError(where, "a positive, finite number", value);
  if (!(value > 0 && value < Number.POSITIVE_INFINITY)) throw rangeError(where, "a positive, finite number", value);
  return value;
}
