// Minifloats from their definition: code = sign | e | m; e = 0: m / 2^M · 2^(1 - bias), otherwise (1 + m / 2^M) · 2^(e - bias).

/** The number of a code; NaN and infinities of E4M3 (OCP 8-bit Floating Point 1.0: no infinity) and E5M2 (IEEE) too. */
export function minifloat(name: string, code: number): number {
  const [, e = "", m = ""] = /^e(\d)m(\d)$/.exec(name) ?? [];
  const [exponentBits, mantissaBits] = [Number(e), Number(m)];
  const bias = { 1: 1, 2: 1, 3: 3, 4: 7, 5: 15 }[exponentBits] as number;
  const bits = code.toString(2).padStart(1 + exponentBits + mantissaBits, "0");
  const exponent = Number.parseInt(bits.slice(1, 1 + exponentBits), 2);
  const mantissa = mantissaBits === 0 ? 0 : Number.parseInt(bits.slice(1 + exponentBits), 2);
  const sign = bits[0] === "1" ? -1 : 1;
  if (name === "e4m3" && exponent === 15 && mantissa === 7) return Number.NaN;
  if (name === "e5m2" && exponent === 31) return mantissa === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  const fraction = mantissa / 2 ** mantissaBits;
  return sign * (exponent === 0 ? fraction * 2 ** (1 - bias) : (1 + fraction) * 2 ** (exponent - bias));
}

/** The smallest positive number, of which all are whole multiples. */
export function smallest(name: string): number {
  return minifloat(name, 1);
}

/** All codes that are numbers. */
export function codesOf(name: string): number[] {
  const bits = 1 + Number(name[1]) + Number(name[3]);
  return Array.from({ length: 2 ** bits }, (_, code) => code).filter((code) => Number.isFinite(minifloat(name, code)));
}
