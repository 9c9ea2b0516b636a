// From the scales of ggml's blocks to the records of ../dot/README.md, of which a strip of 16 rows is read at once.

/**
 * Items of `size` bytes, `items` of them from `place` of each block on: to [block of `each` bytes][item][16 rows]. from: blocks of
 * `bytes` bytes, `blocks` a row, of `rows` rows, at most 16.
 */
export function gather_records(
  from: usize, to: usize, rows: i32, blocks: i32, bytes: usize, place: usize, items: i32, size: i32, each: usize,
): void {
  from += place;
  for (let row = 0; row < rows; row++) {
    let t = to + <usize>(row * size);
    for (let block = 0; block < blocks; block++, from += bytes, t += each) {
      if (size == 2) for (let i = 0; i < items; i++) store<u16>(t + (<usize>i << 5), load<u16>(from + (<usize>i << 1)));
      else for (let i = 0; i < items; i++) store<u8>(t + (<usize>i << 4), load<u8>(from + <usize>i));
    }
  }
}

/**
 * The 12 bytes of Q4_K and Q5_K, eight scales and eight minima of 6 bits: to [block of `each` bytes][group][scales, minima][16 rows].
 * Bytes 0..3 are scales 0..3 with the high bits of scales 4..7 above them, bytes 4..7 minima in the same way, and the nibbles of bytes
 * 8..11 the low bits of scales 4..7 and of minima 4..7.
 */
export function gather_sixes(
  from: usize, to: usize, rows: i32, blocks: i32, bytes: usize, place: usize, each: usize,
): void {
  from += place;
  for (let row = 0; row < rows; row++) {
    let t = to + <usize>row;
    for (let block = 0; block < blocks; block++, from += bytes, t += each) {
      const a = load<u32>(from), b = load<u32>(from, 4), c = load<u32>(from, 8);
      const scales = <u64>(a & 0x3f3f3f3f) | <u64>((c & 0x0f0f0f0f) | ((a >> 2) & 0x30303030)) << 32;
      const minima = <u64>(b & 0x3f3f3f3f) | <u64>(((c >> 4) & 0x0f0f0f0f) | ((b >> 2) & 0x30303030)) << 32;
      for (let g: u64 = 0; g < 8; g++) {
        store<u8>(t + (<usize>g << 5), <u8>(scales >> (g << 3)));
        store<u8>(t + (<usize>g << 5), <u8>(minima >> (g << 3)), 16);
      }
    }
  }
}
