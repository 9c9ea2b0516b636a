import { type ComplexArray, checkComplex, checkFiniteComplex } from "../../lib/complex-array.ts";
import { outputOf, readNumbers } from "./tokens.ts";

/**
 * y = conj(relu2(act)) ⊙ up, where relu2(a) is 0 if both parts of a are negative, and re² + i · im² otherwise: a negative
 * part beside one that is not counts with its square. This is iFairy's feed-forward block after gate_proj and up_proj; the
 * conjugate is on the side where its linear layers, w · conj(x), have it. Values beyond the largest float32 become infinite:
 * `rmsNorm` and matrices refuse them.
 *
 * @param act what gate_proj gives, of any shape
 * @param up what up_proj gives, of the same
 * @param out of the same, written and returned; may overlap act or up. New arrays without it
 * @throws TypeError, RangeError for a wrong argument, or NaN or Infinity in act or up
 */
export function gate(act: ComplexArray, up: ComplexArray, out?: ComplexArray): ComplexArray {
  const a = readNumbers("gate: act", act);
  const { length } = a.re;
  const b = checkComplex("gate: up", up, length, "as long as act");
  checkFiniteComplex("gate: act", a);
  checkFiniteComplex("gate: up", b);
  const { y, finish } = outputOf("gate", out, length, [a, b]);
  for (let i = 0; i < length; i++) {
    const re = a.re[i] as number;
    const im = a.im[i] as number;
    const zero = re < 0 && im < 0;
    const p = zero ? 0 : re * re;
    const q = zero ? 0 : im * im;
    const u = b.re[i] as number;
    const v = b.im[i] as number;
    y.re[i] = p * u + q * v;
    y.im[i] = p * v - q * u;
  }
  return finish();
}
