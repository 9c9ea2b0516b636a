import { type ComplexArray, checkFiniteComplex } from "../../lib/complex-array.ts";
import { checkPositive, outputOf, readNumbers, readTokens } from "./tokens.ts";

/**
 * y = gain ⊙ x / sqrt(mean(re² + im²) + eps), token by token (iFairy). The mean is of |x|² over `size` numbers, twice that
 * of the 2 · size reals; `gain` scales re by its re and im by its im, which is no complex product.
 *
 * @param x [tokens, size]
 * @param gain [size]; its length says what the size is
 * @param eps greater than 0
 * @param out [tokens, size], written and returned; may overlap x or gain. New arrays without it
 * @throws TypeError, RangeError for a wrong argument, or NaN or Infinity in x or gain
 */
export function rmsNorm(x: ComplexArray, gain: ComplexArray, eps: number, out?: ComplexArray): ComplexArray {
  const g = readNumbers("rmsNorm: gain", gain);
  const size = g.re.length;
  const [{ re: xRe, im: xIm }, tokens] = readTokens("rmsNorm: x", x, size, "the length of gain");
  checkPositive("rmsNorm: eps", eps);
  checkFiniteComplex("rmsNorm: x", { re: xRe, im: xIm });
  checkFiniteComplex("rmsNorm: gain", g);
  const { y, finish } = outputOf("rmsNorm", out, tokens * size, [{ re: xRe, im: xIm }], [g]);
  for (let start = 0; start < tokens * size; start += size) {
    // float64: squares of float32 neither overflow nor vanish.
    let sum = 0;
    for (let i = start; i < start + size; i++) {
      const re = xRe[i] as number;
      const im = xIm[i] as number;
      sum += re * re + im * im;
    }
    const scale = 1 / Math.sqrt(sum / size + eps);
    for (let j = 0; j < size; j++) {
      const re = xRe[start + j] as number;
      const im = xIm[start + j] as number;
      y.re[start + j] = re * scale * (g.re[j] as number);
      y.im[start + j] = im * scale * (g.im[j] as number);
    }
  }
  return finish();
}
