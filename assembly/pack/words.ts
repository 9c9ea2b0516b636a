// From codes, a byte each, to the words of ../dot/README.md and ../codebook/README.md: what src/formats/shared/words.ts reads back.

// The fields of four neighbouring codes: `width` bits from bit `shift` on, moved to bit `at`. Codes are below 2^(shift + width), so
// that after the mask nothing leaves its byte.
// @ts-ignore: decorator
@inline
function four(p: usize, shift: u32, width: u32, at: u32): u32 {
  return ((load<u32>(p) >> shift) & (((<u32>1 << width) - 1) * 0x01010101)) << at;
}

// Field j of byte i is that of column 4 j + i. Branches on `width` are gone once this is inlined.
// @ts-ignore: decorator
@inline
function word4(p: usize, shift: u32, width: u32): u32 {
  let word = four(p, shift, width, 0);
  if (width == 4) return word | four(p + 4, shift, width, 4);
  if (width <= 2) word |= four(p + 4, shift, width, width) | four(p + 8, shift, width, 2 * width) | four(p + 12, shift, width, 3 * width);
  if (width == 1) word |= four(p + 16, shift, 1, 4) | four(p + 20, shift, 1, 5) | four(p + 24, shift, 1, 6) | four(p + 28, shift, 1, 7);
  return word;
}

// @ts-ignore: decorator
@inline
function sixteen(p: usize, shift: i32, width: u32, at: i32): v128 {
  return i16x8.shl(v128.and(i16x8.shr_u(v128.load(p), shift), i8x16.splat((<i8>1 << <i8>width) - 1)), at);
}

// Field j of byte i is that of column 16 j + i.
// @ts-ignore: decorator
@inline
function word16(p: usize, shift: i32, width: u32): v128 {
  let word = sixteen(p, shift, width, 0);
  if (width == 4) return v128.or(word, sixteen(p + 16, shift, width, 4));
  word = v128.or(word, sixteen(p + 16, shift, width, width));
  word = v128.or(word, sixteen(p + 32, shift, width, 2 * width));
  word = v128.or(word, sixteen(p + 48, shift, width, 3 * width));
  if (width == 2) return word;
  word = v128.or(word, v128.or(sixteen(p + 64, shift, 1, 4), sixteen(p + 80, shift, 1, 5)));
  return v128.or(word, v128.or(sixteen(p + 96, shift, 1, 6), sixteen(p + 112, shift, 1, 7)));
}

// One word a chunk, four at a time while there are columns for as many: lanes of 64 (width 2) or 32 codes side by side.
// @ts-ignore: decorator
@inline
function pairs4(codes: usize, end: usize, to: usize): void {
  for (; codes + 64 <= end; codes += 64, to += 256) {
    const a = v128.load(codes), b = v128.load(codes, 16), c = v128.load(codes, 32), d = v128.load(codes, 48);
    const ab = v128.shuffle<i32>(a, b, 0, 4, 1, 5), cd = v128.shuffle<i32>(c, d, 0, 4, 1, 5);
    const ef = v128.shuffle<i32>(a, b, 2, 6, 3, 7), gh = v128.shuffle<i32>(c, d, 2, 6, 3, 7);
    const first = v128.or(v128.shuffle<i64>(ab, cd, 0, 2), i32x4.shl(v128.shuffle<i64>(ab, cd, 1, 3), 2));
    const second = v128.or(v128.shuffle<i64>(ef, gh, 0, 2), i32x4.shl(v128.shuffle<i64>(ef, gh, 1, 3), 2));
    scatter(to, v128.or(first, i32x4.shl(second, 4)));
  }
  row4(codes, end, to, 2, 1, 0);
}

// @ts-ignore: decorator
@inline
function nibbles4(codes: usize, end: usize, to: usize): void {
  for (; codes + 32 <= end; codes += 32, to += 256) {
    const a = v128.load(codes), b = v128.load(codes, 16);
    scatter(to, v128.or(v128.shuffle<i32>(a, b, 0, 2, 4, 6), i32x4.shl(v128.shuffle<i32>(a, b, 1, 3, 5, 7), 4)));
  }
  row4(codes, end, to, 4, 1, 0);
}

// Of 8-bit codes those of odd columns are stored less 128.
// @ts-ignore: decorator
@inline
function bytes4(codes: usize, end: usize, to: usize): void {
  const flip = i32x4.splat(0x80008000);
  for (; codes + 16 <= end; codes += 16, to += 256) scatter(to, v128.xor(v128.load(codes), flip));
  for (; codes < end; codes += 4, to += 64) store<u32>(to, load<u32>(codes) ^ 0x80008000);
}

// Words of the same row in four chunks.
// @ts-ignore: decorator
@inline
function scatter(to: usize, words: v128): void {
  v128.store32_lane(to, words, 0);
  v128.store32_lane(to, words, 1, 64);
  v128.store32_lane(to, words, 2, 128);
  v128.store32_lane(to, words, 3, 192);
}

// One row of a strip. A chunk has `most` words of fields of `width` bits at bit 0 of the codes, and one word of `more` bits above
// them where `more` is not 0: the widths of PARTS in src/formats/shared/words.ts.
// @ts-ignore: decorator
@inline
function row4(codes: usize, end: usize, to: usize, width: u32, most: u32, more: u32): void {
  const words = most + (more ? 1 : 0);
  for (; codes < end; codes += <usize>(most * (32 / width)), to += <usize>words << 6) {
    for (let i: u32 = 0; i < most; i++) {
      store<u32>(to + (<usize>i << 6), word4(codes + <usize>(i * (32 / width)), 0, width));
    }
    if (more) store<u32>(to + (<usize>most << 6), word4(codes, width, more));
  }
}

// @ts-ignore: decorator
@inline
function row16(codes: usize, end: usize, to: usize, width: u32, most: u32, more: u32): void {
  const words = most + (more ? 1 : 0);
  for (; codes < end; codes += <usize>(most * (128 / width)), to += <usize>words << 8) {
    for (let i: u32 = 0; i < most; i++) {
      v128.store(to + (<usize>i << 4), word16(codes + <usize>(i * (128 / width)), 0, width));
    }
    if (more) v128.store(to + (<usize>most << 4), word16(codes, width, more));
  }
}

/**
 * A strip of 16 rows. codes: uint8 [16][stride], below 2^bits, of which `cols` columns are taken, a multiple of the columns of a
 * chunk. to: uint32 [chunk][word][16] or, if wide is not 0, v128 [chunk][16][word].
 */
export function pack_words(codes: usize, stride: usize, to: usize, cols: usize, bits: i32, wide: i32): void {
  // A row's words in a chunk are neighbours in the wide layout, and 64 bytes from each other in the other.
  const step: usize = wide ? (bits == 3 ? 48 : bits == 2 || bits == 4 ? 16 : 0) : 4;
  for (let row = 0; row < 16; row++, codes += stride, to += step) {
    const end = codes + cols;
    if (wide) {
      if (bits == 2) row16(codes, end, to, 2, 1, 0);
      else if (bits == 3) row16(codes, end, to, 2, 2, 1);
      else row16(codes, end, to, 4, 1, 0);
    } else if (bits == 2) pairs4(codes, end, to);
    else if (bits == 3) row4(codes, end, to, 2, 2, 1);
    else if (bits == 4) nibbles4(codes, end, to);
    else if (bits == 5) row4(codes, end, to, 4, 4, 1);
    else if (bits == 6) row4(codes, end, to, 4, 2, 2);
    else bytes4(codes, end, to);
  }
}
