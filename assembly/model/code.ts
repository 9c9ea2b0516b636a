// From float32 to codes, a strip of 32 tokens at a time: keys by channel, values by token (KIVI, arXiv:2402.02750).
import {
  capacityOf, codesOf, bitsOf, floatsOf, groupSize, groupsOf, padded, rangesOf, ringOf, sinkOf, slot,
} from "./cache";

// Codes are from -2^(bits - 1) to 2^(bits - 1) - 1, so that what queries and weights lose when they are rounded meets numbers
// around 0; keys of 8 bits have 7. They are stored from 0 on, as second operands of relaxed dot products (dots.ts), values of 8
// bits as int8.

/** What offsets are whole multiples of, of a scale: 2^-1 for codes of 8 bits, 2^-4 for others. */
// @ts-ignore: decorator
@inline
export function unitOf(bits: i32): f32 {
  return bits == 8 ? 0.5 : 0.0625;
}
/** The lowest code. */
// @ts-ignore: decorator
@inline
export function lowest(bits: i32, values: bool): i32 {
  return -(1 << ((bits == 8 && !values ? 7 : bits) - 1));
}

/**
 * The word of numbers from `least` to `most`: in the upper half a scale s, a bfloat16; in the lower one z, int16, so that the lowest
 * code is about `least`: a number is s · code + s · unit · z. s is what the codes need to reach from one end to the other, and at
 * least so large that z has 16 bits, rounded up. Divided before they are subtracted: most - least may leave float32.
 */
function rangeWord(least: f32, most: f32, bits: i32, values: bool): u32 {
  const code = lowest(bits, values), low = <f32>code, all: f32 = -2 * low - 1, unit = unitOf(bits);
  const reach: f32 = most / all - least / all, far: f32 = abs(least) / (32767 * unit + low);
  const word = reinterpret<u32>(max(reach, far)) + 0xffff & 0xffff0000;
  const s = reinterpret<f32>(word);
  if (!(s > 0)) return 0;
  const z: f32 = nearest((least / s - low) / unit);
  return word | <u32><i32>max<f32>(-32767, min<f32>(32767, z)) & 0xffff;
}

// (x - offset) / s, rounded to the nearest, ties to even, as it is stored.
// @ts-ignore: decorator
@inline
function codeOf(x: f32, word: u32, bits: i32, values: bool): u32 {
  const s = reinterpret<f32>(word & 0xffff0000), lowestCode = lowest(bits, values), low = <f32>lowestCode;
  const from = bits == 8 && values ? 0 : lowestCode;
  if (!(s > 0)) return -from;
  const offset: f32 = s * unitOf(bits) * <f32><i32>(<i16>word);
  const c: f32 = nearest((x - offset) / s);
  return <i32>max<f32>(low, min<f32>(-1 - low, c)) - from & 0xff;
}

// Writes the code of column `col` of the row whose words of 32 bits are 64 bytes apart from `words` on.
// @ts-ignore: decorator
@inline
function putCode(words: usize, col: i32, code: u32, bits: i32): void {
  const fields = 8 / bits, field = (col >> 2) & (fields - 1), word = (col >> 2) / fields;
  const at = words + (<usize>word << 6) + <usize>(col & 3);
  store<u8>(at, load<u8>(at) | code << (field * bits));
}

/** Codes of the keys of positions `start` to start + 31 of a head. */
export function codeKeys(side: usize, head: i32, size: i32, start: i32): void {
  const bits = bitsOf(side), width = padded(size), sink = sinkOf(side), ring = ringOf(side);
  const strip = <usize>(head * capacityOf(side) + start) * <usize>width;
  const half = <usize>(width * bits) << 1;
  const codes = codesOf(side) + (strip * <usize>bits >> 3), ranges = rangesOf(side) + (strip >> 5 << 2);
  const floats = floatsOf(side) + (<usize>(head * (sink + ring)) * <usize>width << 2);
  const from = floats + (<usize>slot(start, sink, ring) * <usize>size << 2), next = <usize>size << 6;
  memory.fill(codes, 0, half << 1);
  memory.fill(ranges, 0, <usize>width << 2);
  for (let i = 0; i < size; i++) {
    const at = from + (<usize>i << 6);
    let least = load<f32>(at), most = least;
    for (let t = 1; t < 32; t++) {
      const x = load<f32>(at + <usize>(t >> 4) * next + (<usize>(t & 15) << 2));
      least = min(least, x);
      most = max(most, x);
    }
    const word = rangeWord(least, most, bits, false);
    store<u32>(ranges + (<usize>i << 2), word);
    for (let t = 0; t < 32; t++) {
      const x = load<f32>(at + <usize>(t >> 4) * next + (<usize>(t & 15) << 2));
      putCode(codes + <usize>(t >> 4) * half + (<usize>(t & 15) << 2), i, codeOf(x, word, bits, false), bits);
    }
  }
}

/** Codes of the values of positions `start` to start + 31 of a head. */
export function codeValues(side: usize, head: i32, size: i32, start: i32): void {
  const bits = bitsOf(side), width = padded(size), sink = sinkOf(side), ring = ringOf(side);
  const capacity = capacityOf(side), groups = groupsOf(bits, size), wide = groupSize(bits, size);
  const all = <usize>(sink + ring) << 6;
  const floats = floatsOf(side) + <usize>(head * (width >> 4)) * all + (<usize>slot(start, sink, ring) << 6);
  const step = <usize>capacity * <usize>bits << 1;
  const codes = codesOf(side) + <usize>(head * (width >> 4)) * step + (<usize>start * <usize>bits << 1);
  const ranges = rangesOf(side) + (<usize>(head * groups * capacity + start) << 2);
  for (let tile = 0; tile < width >> 4; tile++) memory.fill(codes + <usize>tile * step, 0, <usize>bits << 6);
  for (let t = 0; t < 32; t++) {
    for (let g = 0; g < groups; g++) {
      const begin = g * wide, end = min(size, begin + wide);
      const row = floats + (<usize>t << 6);
      let least = load<f32>(row + <usize>(begin >> 4) * all), most = least;
      for (let i = begin + 1; i < end; i++) {
        const x = load<f32>(row + <usize>(i >> 4) * all + (<usize>(i & 15) << 2));
        least = min(least, x);
        most = max(most, x);
      }
      const word = rangeWord(least, most, bits, true);
      store<u32>(ranges + (<usize>(g * capacity + t) << 2), word);
      for (let i = begin; i < end; i++) {
        const x = load<f32>(row + <usize>(i >> 4) * all + (<usize>(i & 15) << 2));
        putCode(codes + <usize>(i >> 4) * step + (<usize>(i & 15) << 2), t, codeOf(x, word, bits, true), bits);
      }
    }
  }
}
