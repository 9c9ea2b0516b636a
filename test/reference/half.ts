// Small floats by their definition: sign, exponent, mantissa.

/** A float of `exponentBits` and `mantissaBits` with a sign bit above them, as IEEE 754 has it, no infinities or NaN. */
function smallFloat(bits: number, exponentBits: number, mantissaBits: number): number {
  const bias = 2 ** (exponentBits - 1) - 1;
  const mantissa = bits % 2 ** mantissaBits;
  const exponent = Math.floor(bits / 2 ** mantissaBits) % 2 ** exponentBits;
  const sign = bits >= 2 ** (mantissaBits + exponentBits) ? -1 : 1;
  if (exponent === 0) return sign * (mantissa / 2 ** mantissaBits) * 2 ** (1 - bias);
  return sign * (1 + mantissa / 2 ** mantissaBits) * 2 ** (exponent - bias);
}

/** binary16 with its infinities and NaN. */
export function halfValue(bits: number): number {
  if ((bits & 0x7c00) !== 0x7c00) return smallFloat(bits, 5, 10);
  return (bits & 0x3ff) === 0 ? (bits & 0x8000 ? -Infinity : Infinity) : Number.NaN;
}

/** E4M3 of the OCP 8-bit formats: all ones is NaN, there is no infinity. */
export function e4m3Of(byte: number): number {
  return (byte & 0x7f) === 0x7f ? Number.NaN : smallFloat(byte, 4, 3);
}

/** E2M1 of the OCP Microscaling formats: no NaN, no infinity. */
export function e2m1Of(code: number): number {
  return smallFloat(code, 2, 1);
}

export function e8m0Of(byte: number): number {
  return byte === 255 ? Number.NaN : 2 ** (byte - 127);
}
