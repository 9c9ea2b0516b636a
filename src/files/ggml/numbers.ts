// Numbers of several bits in the blocks of ggml.

export function u16(b: Uint8Array, at: number): number {
  return (b[at] as number) | ((b[at + 1] as number) << 8);
}

export function u32(b: Uint8Array, at: number): number {
  return (u16(b, at) | (u16(b, at + 2) << 16)) >>> 0;
}

/** Nibble i of bytes, the low one first. */
export function nibble(b: Uint8Array, at: number, i: number): number {
  return ((b[at + (i >> 1)] as number) >> (4 * (i & 1))) & 15;
}
