// From the blocks of ggml's files to codes, a byte each. All types but grids and TQ1_0 are fields of 1, 2, 4 or 8 bits, some with
// more bits above them from another place of the block: in every `apart` bytes, field j of byte i is column j · apart + i of the
// 8 / bits · apart columns that these bytes hold (src/files/ggml/blocks.ts says where).

// Fields of one block, from bit `shift` of the codes on: written, or joined to what is there.
function fields(b: usize, to: usize, cols: usize, bits: u32, apart: usize, shift: u32, joined: bool): void {
  const mask: u32 = (<u32>1 << bits) - 1, end = to + cols;
  if (apart < 8) {
    // Column by column.
    const perByte: u32 = 8 / bits;
    for (; to < end; to += apart * perByte, b += apart) {
      for (let i: usize = 0; i < apart; i++) {
        const byte: u32 = load<u8>(b + i);
        for (let j: u32 = 0; j < perByte; j++) {
          const at = to + <usize>j * apart + i, code = ((byte >> (j * bits)) & mask) << shift;
          store<u8>(at, joined ? load<u8>(at) | code : code);
        }
      }
    }
    return;
  }
  const m = i8x16.splat(<i8>mask);
  if (apart == 8) {
    for (; to < end; b += 8) {
      for (let at: u32 = 0; at < 8; at += bits, to += 8) {
        const codes = i16x8.shl(v128.and(i16x8.shr_u(v128.load64_zero(b), at), m), shift);
        v128.store64_lane(to, joined ? v128.or(codes, v128.load64_zero(to)) : codes, 0);
      }
    }
    return;
  }
  for (; to < end; b += apart) {
    for (let at: u32 = 0; at < 8; at += bits) {
      for (let p = b, pEnd = b + apart; p < pEnd; p += 16, to += 16) {
        const codes = i16x8.shl(v128.and(i16x8.shr_u(v128.load(p), at), m), shift);
        v128.store(to, joined ? v128.or(codes, v128.load(to)) : codes);
      }
    }
  }
}

/**
 * rows x blocks blocks of `bytes` bytes and `cols` columns, a row after the other from `from` on, to codes uint8 [rows][stride]:
 * (low fields | high fields << highShift) ^ flip + more. highBits 0: there are none. `cols` is a multiple of 16, and of the columns
 * of `apart` bytes.
 */
export function unpack_fields(
  from: usize, to: usize, stride: usize, rows: i32, blocks: i32, bytes: usize, cols: usize,
  low: usize, lowBits: u32, lowApart: usize, high: usize, highBits: u32, highApart: usize, highShift: u32,
  flip: i32, more: i32,
): void {
  const f = i8x16.splat(<i8>flip), m = i8x16.splat(<i8>more);
  for (let row = 0; row < rows; row++, to += stride) {
    let at = to;
    for (let block = 0; block < blocks; block++, from += bytes, at += cols) {
      fields(from + low, at, cols, lowBits, lowApart, 0, false);
      if (highBits) fields(from + high, at, cols, highBits, highApart, highShift, true);
      if (flip | more) {
        for (let i: usize = 0; i < cols; i += 16) {
          v128.store(at + i, i8x16.add(v128.xor(v128.load(at + i), f), m));
        }
      }
    }
  }
}
