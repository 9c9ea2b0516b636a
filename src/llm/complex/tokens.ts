// Arguments and results that are complex numbers of several tokens.
import { mayOverlap } from "../../lib/arrays.ts";
import {
  checkArray,
  checkFloats,
  checkInteger,
  checkOptions,
  MAX_COLS,
  rangeError,
  typeError,
} from "../../lib/check.ts";
import { type ComplexArray, checkApart, checkComplex } from "../../lib/complex-array.ts";
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

/** Numbers of a caller, read once, and how many tokens of `size` of them there are. */
export function readTokens(where: string, x: ComplexArray, size: number, shape: string): [ComplexArray, number] {
  const numbers = readNumbers(where, x);
  const { length } = numbers.re;
  if (length % size !== 0)
    throw rangeError(`${where}.re`, `a multiple of ${size} (${shape}) as length`, String(length));
  return [numbers, length / size];
}

/** Numbers of a caller, read once: at least one. */
export function readNumbers(where: string, x: ComplexArray): ComplexArray {
  checkOptions(where, x);
  const { re: given, im } = x;
  const re = checkArray(`${where}.re`, given, ["Float32Array"]);
  if (re.length === 0) throw rangeError(`${where}.re`, "at least one number", "0");
  return { re, im: checkFloats(`${where}.im`, im, re.length, "as long as re") };
}

/** Where a result is written, and what brings it to where the caller wants it. */
export interface Output {
  readonly y: ComplexArray;
  /** Returns what the caller gave as `out`, or y. */
  readonly finish: () => ComplexArray;
}

/**
 * `out` if it is `length` long; new arrays without it, and where it may share memory with an input. Not those of `aligned`
 * inputs of the same length that begin where it does: number i of them is read before number i of it is written. With
 * "apart" always new ones, so that `out` is written when all is done.
 */
export function outputOf(
  where: string,
  out: ComplexArray | undefined,
  length: number,
  aligned: readonly ComplexArray[],
  others: readonly ComplexArray[] | "apart" = [],
): Output {
  const fresh = { re: new Float32Array(length), im: new Float32Array(length) };
  if (out === undefined) return { y: fresh, finish: () => fresh };
  const target = checkComplex(`${where}: out`, out, length, "as long as the input");
  checkApart(`${where}: out`, target);
  const meets = (inputs: readonly ComplexArray[], inPlace: boolean): boolean =>
    inputs.some(({ re, im }) =>
      [re, im].some((input) =>
        [target.re, target.im].some((to) => {
          const same = input.buffer === to.buffer && input.byteOffset === to.byteOffset && input.length === to.length;
          return mayOverlap(input, to) && !(inPlace && same);
        }),
      ),
    );
  if (others !== "apart" && !meets(aligned, true) && !meets(others, false)) return { y: target, finish: () => out };
  const finish = (): ComplexArray => {
    target.re.set(fresh.re);
    target.im.set(fresh.im);
    return out;
  };
  return { y: fresh, finish };
}

export function checkPositive(where: string, value: unknown): number {
  if (typeof value !== "number") throw typeError(where, "a positive, finite number", value);
  if (!(value > 0 && value < Number.POSITIVE_INFINITY)) throw rangeError(where, "a positive, finite number", value);
  return value;
}
