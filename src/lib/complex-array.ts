// Complex numbers as two arrays: a kernel reads Re x and Im x each as a vector of its own.
import { sharesMemory } from "./arrays.ts";
import { checkFinite, checkFloats, checkOptions, rangeError } from "./check.ts";

/** Complex numbers: re[k] + i · im[k]. Both arrays have the same length. */
export interface ComplexArray {
  readonly re: Float32Array;
  readonly im: Float32Array;
}

/** Checks that both parts have `length` values; `shape` says where the length comes from. */
export function checkComplex(where: string, value: unknown, length: number, shape: string): ComplexArray {
  checkOptions(where, value);
  const { re, im } = value as Partial<ComplexArray>;
  return {
    re: checkFloats(`${where}.re`, re, length, shape),
    im: checkFloats(`${where}.im`, im, length, shape),
  };
}

/** Refuses NaN and Infinity, naming the part and its first index. */
export function checkFiniteComplex(where: string, { re, im }: ComplexArray, expected?: string): void {
  checkFinite(`${where}.re`, re, expected);
  checkFinite(`${where}.im`, im, expected);
}

/** Refuses an output whose parts overlap, of which no result could be right. Views of ours. */
export function checkApart(where: string, { re, im }: ComplexArray): void {
  if (sharesMemory(re, im)) throw rangeError(`${where}.im`, "other memory than that of re", "the same");
}
