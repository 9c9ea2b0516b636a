import { kindOf, lengthOf } from "../../lib/arrays.ts";
import { checkInteger, checkLength, typeError } from "../../lib/check.ts";
import { type ComplexArray, checkFiniteComplex } from "../../lib/complex-array.ts";
import { cos as cosine, pow, sin as sine } from "../../numeric/elementary.ts";
import { checkHeads, checkPositive, HEAD_NAMES, type HeadOptions, outputOf, readTokens } from "./tokens.ts";

export interface RopeOptions extends HeadOptions {
  /** theta, the base of the wavelengths: `rope_theta` of a model's config. */
  readonly base: number;
}

/** An angle is a position times at most 1, so float64 leaves it an error of 2^-22 at most: that of a float32 near 1. */
const MAX_POSITION = 2 ** 31 - 1;

/**
 * Rotary position embedding: y = x · e^{i · position · base^(-j / headDim)} for element j of each head. Every complex
 * number is a pair by itself, so there are headDim frequencies, not headDim / 2, and headDim may be odd (iFairy, RoPE;
 * Su et al., arXiv:2104.09864, eq. 12). For queries and keys, not values.
 *
 * @param x [tokens, heads, headDim]
 * @param positions the position of the first token, which the others follow, or [tokens]: integers from 0 to 2^31 - 1
 * @param out of the same shape, written and returned; may overlap x. New arrays without it
 * @throws TypeError, RangeError for a wrong argument, or NaN or Infinity in x
 */
export function rope(
  x: ComplexArray,
  positions: number | ArrayLike<number>,
  options: RopeOptions,
  out?: ComplexArray,
): ComplexArray {
  const { heads, headDim, base: given } = checkHeads("rope", options, HEAD_NAMES);
  const base = checkPositive("rope: base", given);
  const size = heads * headDim;
  const [{ re: xRe, im: xIm }, tokens] = readTokens("rope: x", x, size, "heads x headDim");
  const each = positionsOf(positions, tokens);
  checkFiniteComplex("rope: x", { re: xRe, im: xIm });
  const { y, finish } = outputOf("rope", out, tokens * size, [{ re: xRe, im: xIm }]);
  const frequencies = Float64Array.from({ length: headDim }, (_, j) => pow(base, -j / headDim));
  for (let token = 0; token < tokens; token++) {
    for (let j = 0; j < headDim; j++) {
      const angle = (each[token] as number) * (frequencies[j] as number);
      const cos = cosine(angle);
      const sin = sine(angle);
      for (let i = token * size + j; i < (token + 1) * size; i += headDim) {
        const re = xRe[i] as number;
        const im = xIm[i] as number;
        y.re[i] = re * cos - im * sin;
        y.im[i] = re * sin + im * cos;
      }
    }
  }
  return finish();
}

function positionsOf(positions: number | ArrayLike<number>, tokens: number): Float64Array {
  if (typeof positions === "number") {
    const first = checkInteger("rope: positions", positions, 0, MAX_POSITION - tokens + 1);
    return Float64Array.from({ length: tokens }, (_, i) => first + i);
  }
  const typed = kindOf(positions)?.endsWith("Array") ?? false;
  if (!Array.isArray(positions) && !typed) {
    throw typeError("rope: positions", "an integer or an array of integers", positions);
  }
  const length = typed ? lengthOf(positions as unknown as ArrayBufferView) : positions.length;
  checkLength("rope: positions", { length }, tokens, "tokens of x");
  return Float64Array.from({ length }, (_, i) => checkInteger(`rope: positions[${i}]`, positions[i], 0, MAX_POSITION));
}
