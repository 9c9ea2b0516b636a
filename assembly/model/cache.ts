// The cache of keys and values of a layer: where a position's numbers are, and how they come there. Layout: README.md.
//
// A record of int32 says where everything is, so that a call needs one address: heads, size, then the sides of keys and of values.
import { floatToHalf } from "./strip";
import { codeKeys, codeValues } from "./code";

/** Bytes from a record to its sides. */
export const KEYS: usize = 16;
export const VALUES: usize = 48;

// @ts-ignore: decorator
@inline
export function heads(cache: usize): i32 {
  return load<i32>(cache);
}
// @ts-ignore: decorator
@inline
export function headSize(cache: usize): i32 {
  return load<i32>(cache, 4);
}

/** Of a side: 32 (float32), 16 (float16), or the bits of its codes. */
// @ts-ignore: decorator
@inline
export function bitsOf(side: usize): i32 {
  return load<i32>(side);
}
/** Address of halves or codes. */
// @ts-ignore: decorator
@inline
export function codesOf(side: usize): usize {
  return load<u32>(side, 4);
}
/** Address of scales and minima of codes. */
// @ts-ignore: decorator
@inline
export function rangesOf(side: usize): usize {
  return load<u32>(side, 8);
}
/** Positions that codes or halves have room for. */
// @ts-ignore: decorator
@inline
export function capacityOf(side: usize): i32 {
  return load<i32>(side, 12);
}
/** Address of float32. */
// @ts-ignore: decorator
@inline
export function floatsOf(side: usize): usize {
  return load<u32>(side, 16);
}
/** First positions that stay float32: all, where there is nothing else. A multiple of 32. */
// @ts-ignore: decorator
@inline
export function sinkOf(side: usize): i32 {
  return load<i32>(side, 20);
}
/** Room for other float32, which later ones take over. A multiple of 32. */
// @ts-ignore: decorator
@inline
export function ringOf(side: usize): i32 {
  return load<i32>(side, 24);
}
/** Tokens that become codes together. A multiple of 32. */
// @ts-ignore: decorator
@inline
export function windowOf(side: usize): i32 {
  return load<i32>(side, 28);
}

/** Size of a head with whole tiles of 16. */
// @ts-ignore: decorator
@inline
export function padded(size: i32): i32 {
  return (size + 15) & -16;
}

/** Where float32 of a position are among those that there is room for. */
// @ts-ignore: decorator
@inline
export function slot(position: i32, sink: i32, ring: i32): i32 {
  return position < sink ? position : sink + (position - sink) % ring;
}

/**
 * The position before which the token at `position` meets codes (from the sink on) or halves (from 0 on). It depends on
 * nothing else, so that neither batches nor what was there before show in a result; the token itself is never a code.
 */
// @ts-ignore: decorator
@inline
export function codedEnd(side: usize, position: i32): i32 {
  const bits = bitsOf(side);
  if (bits == 32) return 0;
  if (bits == 16) return position + 1;
  const window = windowOf(side);
  return max(sinkOf(side), position / window * window);
}

/** Channels that share scale and minimum of values: 32, with codes of 8 bits all. */
// @ts-ignore: decorator
@inline
export function groupSize(bits: i32, size: i32): i32 {
  return bits == 8 ? padded(size) : 32;
}
// @ts-ignore: decorator
@inline
export function groupsOf(bits: i32, size: i32): i32 {
  return bits == 8 ? 1 : (padded(size) + 31) >> 5;
}

// Four numbers of keys go to places of 16 positions, `step` bytes apart; of values to places beside each other.
// @ts-ignore: decorator
@inline
function writeKeys(from: usize, side: usize, head: i32, size: i32, position: i32): void {
  if (bitsOf(side) == 16) {
    let to = codesOf(side) + (<usize>head * <usize>capacityOf(side) * <usize>padded(size) << 1);
    to += (<usize>(position & -16) * <usize>size << 1) + (<usize>(position & 15) << 1);
    for (let i = 0; i < size; i += 4, from += 16, to += 128) {
      const v = floatToHalf(v128.load(from));
      v128.store_lane<u16>(to, v, 0);
      v128.store_lane<u16>(to, v, 2, 32);
      v128.store_lane<u16>(to, v, 4, 64);
      v128.store_lane<u16>(to, v, 6, 96);
    }
    return;
  }
  const sink = sinkOf(side), ring = ringOf(side), at = slot(position, sink, ring);
  let to = floatsOf(side) + (<usize>head * <usize>(bitsOf(side) == 32 ? sink : sink + ring) * <usize>padded(size) << 2);
  to += (<usize>(at & -16) * <usize>size << 2) + (<usize>(at & 15) << 2);
  for (let i = 0; i < size; i++, from += 4, to += 64) store<f32>(to, load<f32>(from));
}

// @ts-ignore: decorator
@inline
function writeValues(from: usize, side: usize, head: i32, size: i32, position: i32): void {
  if (bitsOf(side) == 16) {
    const capacity = <usize>capacityOf(side);
    const to = codesOf(side) + (<usize>head * capacity * <usize>padded(size) + (<usize>position << 4) << 1);
    for (let i = 0; i < size; i += 4, from += 16) {
      const v = floatToHalf(v128.load(from));
      const at = to + (<usize>(i & -16) * capacity << 1) + (<usize>(i & 15) << 1);
      v128.store64_lane(at, i16x8.narrow_i32x4_u(v, v), 0);
    }
    return;
  }
  const sink = sinkOf(side), ring = ringOf(side), all = <usize>(bitsOf(side) == 32 ? sink : sink + ring);
  const to = floatsOf(side) + (<usize>head * all * <usize>padded(size) + (<usize>slot(position, sink, ring) << 4) << 2);
  for (let i = 0; i < size; i += 4, from += 16) {
    v128.store(to + (<usize>(i & -16) * all << 2) + (<usize>(i & 15) << 2), v128.load(from));
  }
}

/**
 * Writes keys and values of tokens begin to before end, of which token 0 is at `position`, and the codes of strips of 32 that
 * they complete. Floats of the strip before theirs and of theirs are kept, so tokens of one call end before the next multiple of
 * 32, unless both sides are float32 or float16.
 *
 * @param k float32 [tokens][stride], KV heads one after the other
 * @param v likewise
 */
export function model_append(
  k: usize, v: usize, stride: i32, cache: usize, begin: i32, end: i32, position: i32,
): void {
  const keys = cache + KEYS, values = cache + VALUES, count = heads(cache), size = headSize(cache);
  for (let token = begin; token < end; token++) {
    const at = position + token;
    let row = <usize>token * <usize>stride << 2;
    for (let h = 0; h < count; h++, row += <usize>size << 2) {
      writeKeys(k + row, keys, h, size, at);
      writeValues(v + row, values, h, size, at);
      if ((at & 31) != 31) continue;
      if (bitsOf(keys) <= 8 && at >= sinkOf(keys)) codeKeys(keys, h, size, at & -32);
      if (bitsOf(values) <= 8 && at >= sinkOf(values)) codeValues(values, h, size, at & -32);
    }
  }
}
