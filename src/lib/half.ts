// Small floating-point formats of checkpoints, from their bits to float32.
import { checkArray, rangeError } from "./check.ts";

/**
 * IEEE 754 binary16.
 *
 * @param given the 16 bits of each number
 * @throws TypeError; NaN and Infinity come through as what they are
 */
export function halfToFloat(where: string, given: Uint16Array): Float32Array {
  const bits = checkArray(where, given, ["Uint16Array"], "a Uint16Array of float16 bits");
  const out = new Float32Array(bits.length);
  const words = new Uint32Array(out.buffer);
  for (let i = 0; i < bits.length; i++) {
    const half = bits[i] as number;
    const sign = (half & 0x8000) << 16;
    const rest = half & 0x7fff;
    // Denormals are whole multiples of 2^-24; else the exponent's bias goes from 15 to 127, or from all ones to all ones.
    if (rest < 0x400) out[i] = rest * 2 ** -24;
    else words[i] = (rest << 13) + (rest >= 0x7c00 ? 0x70000000 : 0x38000000);
    words[i] = (words[i] as number) | sign;
  }
  return out;
}

/** The number that the bits of a binary16 are. */
export function halfValue(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const mantissa = bits & 1023;
  if (exponent === 31) return mantissa === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (exponent === 0 ? mantissa * 2 ** -24 : (1024 + mantissa) * 2 ** (exponent - 25));
}

/**
 * bfloat16: the high half of a float32.
 *
 * @param given the 16 bits of each number
 * @throws TypeError; NaN and Infinity come through as what they are
 */
export function bfloat16ToFloat(where: string, given: Uint16Array): Float32Array {
  const bits = checkArray(where, given, ["Uint16Array"], "a Uint16Array of bfloat16 bits");
  const words = new Uint32Array(bits.length);
  for (let i = 0; i < bits.length; i++) words[i] = (bits[i] as number) << 16;
  return new Float32Array(words.buffer);
}

/**
 * E8M0, the scales of MX formats: 2^(e - 127).
 *
 * @throws TypeError; RangeError for 255, which is NaN
 */
export function e8m0ToFloat(where: string, bytes: Uint8Array): Float32Array {
  return decode(where, bytes, (e) => (e === 255 ? Number.NaN : 2 ** (e - 127)));
}

/**
 * E4M3 (OCP 8-bit floating point), the scales of NVFP4: four bits of exponent with bias 7, three of mantissa, no infinity.
 *
 * @throws TypeError; RangeError for 127 and 255, which are NaN
 */
export function e4m3ToFloat(where: string, bytes: Uint8Array): Float32Array {
  return decode(where, bytes, e4m3Value);
}

/** The number that a byte of E4M3 is. */
export function e4m3Value(byte: number): number {
  const exponent = (byte >> 3) & 15;
  const mantissa = byte & 7;
  if (exponent === 15 && mantissa === 7) return Number.NaN;
  const magnitude = exponent === 0 ? mantissa * 2 ** -9 : (8 + mantissa) * 2 ** (exponent - 10);
  return byte & 0x80 ? -magnitude : magnitude;
}

function decode(where: string, given: Uint8Array, value: (byte: number) => number): Float32Array {
  const bytes = checkArray(where, given, ["Uint8Array"]);
  const table = Float32Array.from({ length: 256 }, (_, byte) => value(byte));
  const out = new Float32Array(bytes.length);
  for (let i = 0; i < bytes.length; i++) {
    const v = table[bytes[i] as number] as number;
    if (Number.isNaN(v)) throw rangeError(where, "no NaN", `${bytes[i]}, which is NaN, at index ${i}`);
    out[i] = v;
  }
  return out;
}

/** The float16 nearest to each number, ties to even, as bits; beyond 65520 it is an infinity. */
export function floatsToHalves(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(Float32Array.from(values).buffer);
  return Uint16Array.from(bits, (b) => {
    const sign = (b >>> 16) & 0x8000;
    const exponent = ((b >>> 23) & 255) - 112;
    const mantissa = b & 0x7fffff;
    if (exponent === 143) return sign | 0x7c00 | (mantissa === 0 ? 0 : 0x200);
    if (exponent >= 31) return sign | 0x7c00;
    if (exponent < -10) return sign;
    // Subnormal ones have their leading bit in the mantissa. Rounding up carries into the exponent, as it should.
    return exponent > 0
      ? sign | roundedBits((exponent << 23) | mantissa, 13)
      : sign | roundedBits(mantissa | 0x800000, 14 - exponent);
  });
}

/** The bfloat16 nearest to each number, ties to even, as bits. */
export function floatsToBfloat16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(Float32Array.from(values).buffer);
  return Uint16Array.from(bits, (b) => {
    const sign = (b >>> 16) & 0x8000;
    const magnitude = b & 0x7fffffff;
    return sign | (magnitude > 0x7f800000 ? (magnitude >>> 16) | 0x40 : roundedBits(magnitude, 16));
  });
}

/** bits / 2^count, rounded half to even. */
function roundedBits(bits: number, count: number): number {
  const whole = bits >>> count;
  const rest = bits & (2 ** count - 1);
  const middle = 2 ** (count - 1);
  return rest > middle || (rest === middle && whole & 1) ? whole + 1 : whole;
}
