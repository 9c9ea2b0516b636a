// The numbers: code = sign | e | m. e = 0: m / 2^M · 2^(1 - bias), otherwise (1 + m / 2^M) · 2^(e - bias).

/** Sign, bits of the exponent, bits of the mantissa. */
export const MINIFLOATS = ["e2m3", "e3m2", "e2m2", "e2m1", "e3m0", "e1m2", "e3m1", "e4m3", "e5m2"] as const;
export type Minifloat = (typeof MINIFLOATS)[number];

export interface MinifloatType {
  readonly name: Minifloat;
  readonly exponentBits: number;
  readonly mantissaBits: number;
  /** Of the code, sign included. */
  readonly bits: number;
  /** That of the OCP formats: 2^(exponent bits - 1) - 1, 1 of one bit. */
  readonly bias: number;
  /** Every magnitude is a whole number times this, for the usual bias. */
  readonly unit: number;
  /** Magnitudes that are numbers: E4M3 has one NaN, E5M2 infinities and three NaN. */
  readonly magnitudes: number;
}

export function typeOf(name: Minifloat): MinifloatType {
  const exponentBits = Number(name[1]);
  const mantissaBits = Number(name[3]);
  const bits = 1 + exponentBits + mantissaBits;
  const bias = Math.max(1, 2 ** (exponentBits - 1) - 1);
  const magnitudes = 2 ** (bits - 1) - (name === "e4m3" ? 1 : name === "e5m2" ? 4 : 0);
  return { name, exponentBits, mantissaBits, bits, bias, unit: 2 ** (1 - bias - mantissaBits), magnitudes };
}

/** The magnitude of a code without its sign, in units. */
export function wholeMagnitude({ mantissaBits }: MinifloatType, code: number): number {
  const exponent = code >> mantissaBits;
  const mantissa = code & (2 ** mantissaBits - 1);
  return exponent === 0 ? mantissa : (2 ** mantissaBits + mantissa) * 2 ** (exponent - 1);
}

/** The number of a code in units, with its sign. */
export function wholeValue(type: MinifloatType, code: number): number {
  const top = 2 ** (type.bits - 1);
  const magnitude = wholeMagnitude(type, code & (top - 1));
  return code & top ? -magnitude : magnitude;
}
