// Numbers of several bits in the blocks of ggml.

export function u16(b: Uint8Array, at: number): number {
  return (b[at] as number) | ((b[at + 1] as number) << 8);
}

export function u32(b: Uint8Array, at: number): number {
  return (u16(b, at) | (u16(b, at + 2) << 16)) >>> 0;
}

/** An IEEE half of the block. NaN and Infinity come through. */
export function f16(b: Uint8Array, at: number): number {
  return halfValue(u16(b, at));
}

export function halfValue(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const mantissa = bits & 1023;
  if (exponent === 31) return mantissa === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (exponent === 0 ? mantissa * 2 ** -24 : (1024 + mantissa) * 2 ** (exponent - 25));
}

/** Nibbles of 16 bytes: low ones are columns 0 to 15, high ones 16 to 31. */
export function nibbles(b: Uint8Array, at: number, out: Uint8Array, to: number, half = 16): void {
  for (let j = 0; j < half; j++) {
    const byte = b[at + j] as number;
    out[to + j] = byte & 15;
    out[to + half + j] = byte >> 4;
  }
}

/** Nibble i of bytes, the low one first. */
export function nibble(b: Uint8Array, at: number, i: number): number {
  return ((b[at + (i >> 1)] as number) >> (4 * (i & 1))) & 15;
}
