// The checksum of files (src/files/own/checksum.ts, which says what it finds), 64 bytes a step.

/** Odd, and far from a power of two: 2^32 over the golden ratio. */
const FACTOR: i32 = <i32>0x9e3779b1;

// lane = rotl((lane ^ word) · FACTOR, 13)
// @ts-ignore: decorator
@inline
function step(lanes: v128, words: v128, factor: v128): v128 {
  const product = i32x4.mul(v128.xor(lanes, words), factor);
  return v128.or(i32x4.shl(product, 13), i32x4.shr_u(product, 19));
}

/** Goes on with the 16 uint32 lanes at `state` over `bytes` bytes at `data`, a multiple of 64. */
export function file_checksum(state: usize, data: usize, bytes: usize): void {
  const factor = i32x4.splat(FACTOR);
  let a = v128.load(state), b = v128.load(state, 16), c = v128.load(state, 32), d = v128.load(state, 48);
  const end = data + bytes;
  for (; data < end; data += 64) {
    a = step(a, v128.load(data), factor);
    b = step(b, v128.load(data, 16), factor);
    c = step(c, v128.load(data, 32), factor);
    d = step(d, v128.load(data, 48), factor);
  }
  v128.store(state, a);
  v128.store(state, b, 16);
  v128.store(state, c, 32);
  v128.store(state, d, 48);
}
