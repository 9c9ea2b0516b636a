import { exponentField } from "./activation.ts";
import { dotInt8 } from "./gemv.ts";
import { absMax, roundHalfEven } from "./rounding.ts";
import type { Codes, Weights } from "./weights.ts";

const f32 = Math.fround;

/** The three digits of x in base 254: x[k] is about (q1 + q2 / 254 + q3 / 254^2) amax / 127. */
export function digitsOf(x: Float32Array): [Int32Array, Int32Array, Int32Array] {
  const amax = absMax(x);
  const ratio = amax === 0 ? 0 : (127 / amax) * 254 ** 2;
  const digits: [Int32Array, Int32Array, Int32Array] = [0, 1, 2].map(() => new Int32Array(x.length)) as never;
  for (let k = 0; k < x.length; k++) {
    const whole = roundHalfEven((x[k] as number) * ratio);
    const first = roundHalfEven(whole / 254 ** 2);
    const rest = whole - first * 254 ** 2;
    const second = roundHalfEven(rest / 254);
    digits[0][k] = first;
    digits[1][k] = second;
    digits[2][k] = rest - second * 254;
  }
  return digits;
}

/** y = W x for float32 x and integer weights: each digit is multiplied exactly, and the three are added, the least first. */
export function gemvDigits(weights: Weights<Codes>, x: Float32Array): Float32Array {
  const amax = absMax(x);
  // The power of two that brings amax to 1..4, so that the scale of the last digit is no denormal.
  const power = 2 ** (Math.max(254 - exponentField(amax), 1) - 127);
  const first = (amax * power) / 127;
  const [y1, y2, y3] = digitsOf(x).map((q, i) => dotInt8(weights, q, f32(first / 254 ** i))) as [
    Float32Array,
    Float32Array,
    Float32Array,
  ];
  return y1.map((y, r) => f32(f32(y + f32((y2[r] as number) + (y3[r] as number))) * (1 / power)));
}
