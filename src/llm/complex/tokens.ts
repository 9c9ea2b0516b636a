// Arguments and results that are complex numbers of several tokens.
import { checkFinite, checkInteger, MAX_COLS, rangeError, typeError } from "../../lib/check.ts";
import { type ComplexArray, checkComplex } from "../../lib/complex-array.ts";
import { type OptionNames, readOptions, type Settled } from "../../lib/options.ts";

export interface HeadOptions {
  readonly heads: number;
  /** Complex numbers of a head. */
  readonly headDim: number;
  /** Of `rope`, and read by it alone: one object of options serves a layer. */
  readonly base?: number;
}

/** Options of heads, and the names that Hugging Face's configurations have for them. */
export const HEAD_NAMES: OptionNames<HeadOptions> = {
  heads: ["num_attention_heads"],
  headDim: ["head_dim"],
  base: ["rope_theta"],
};

/** Reads the options of a function of heads, and checks those that all of them take. */
export function checkHeads<T extends HeadOptions>(where: string, options: T, names: OptionNames<T>): Settled<T> {
  const given = readOptions(where, options, names);
  checkInteger(`${where}: heads`, given.heads, 1, MAX_COLS);
  checkInteger(`${where}: headDim`, given.headDim, 1, MAX_COLS);
  return given;
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

export function checkPositive(where: string, value: unknown): number {
  if (typeof value !== "number") throw typeError(where, "a positive, finite number", value);
  if (!(value > 0 && value < Number.POSITIVE_INFINITY)) throw rangeError(where, "a positive, finite number", value);
  return value;
}
