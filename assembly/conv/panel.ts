// Copies of a part of the input as the loops want it: bordered by the zero point, one group of channels, int16 or bytes.
import {
  address, bytes, OPERAND, PAD_LEFT, PIXEL, SPREAD_X, SPREAD_Y, UNSIGNED, WIDE, word, X, X_FLIP, X_HEIGHT, X_PITCH, X_WIDTH,
  X_ZERO,
} from "./record";

// `size` bytes of one pixel, or up to 15 more: later pixels are written over them.
// @ts-ignore: decorator
@inline
function copyBytes(to: usize, from: usize, size: usize, flip: v128): void {
  for (let i: usize = 0; i < size; i += 16) v128.store(to + i, v128.xor(v128.load(from + i), flip));
}
// @ts-ignore: decorator
@inline
function copyWide(to: usize, from: usize, size: usize, flip: v128): void {
  for (let i: usize = 0; i < size; i += 16) {
    v128.store(to + i, i16x8.extend_low_i8x16_s(v128.xor(v128.load64_zero(from + (i >> 1)), flip)));
  }
}
// @ts-ignore: decorator
@inline
function fill(to: usize, value: v128, size: usize): void {
  for (let i: usize = 0; i < size; i += 16) v128.store(to + i, value);
}

/**
 * Rows top … top + rows - 1 of the input, of channels from `channel` on, to `panel` [rows][cols][PIXEL bytes]: column 0 is
 * PAD_LEFT left of the map. Writes up to 15 bytes beyond the panel.
 */
export function fillPanel(record: usize, channel: usize, top: i32, rows: i32, cols: i32, panel: usize): void {
  const size = <usize>word(record, PIXEL), operand = word(record, OPERAND);
  const height = word(record, X_HEIGHT), width = word(record, X_WIDTH), left = word(record, PAD_LEFT);
  const pitch = <usize>word(record, X_PITCH);
  const spreadY = word(record, SPREAD_Y), spreadX = word(record, SPREAD_X);
  let flip = bytes(record, X_FLIP), zero = i8x16.splat(<i8>word(record, X_ZERO));
  if (operand == WIDE) {
    zero = i16x8.splat(<i16>word(record, X_ZERO));
  } else if (operand == UNSIGNED) {
    flip = v128.xor(flip, i8x16.splat(-128));
    zero = v128.xor(zero, i8x16.splat(-128));
  }
  for (let row = top; row < top + rows; row++) {
    const above = row < 0 || row % spreadY != 0;
    const y = row / spreadY;
    if (above || y >= height) {
      fill(panel, zero, size * <usize>cols);
      panel += size * <usize>cols;
      continue;
    }
    const from = address(record, X) + pitch * <usize>(y * width) + channel;
    if (spreadX == 1) {
      // Columns outside of the map on both sides, and those between.
      const before = min(cols, left), end = max(before, min(cols, left + width));
      fill(panel, zero, size * <usize>before);
      let p = from + pitch * <usize>(before - left);
      panel += size * <usize>before;
      if (operand == WIDE) {
        for (let col = before; col < end; col++) {
          copyWide(panel, p, size, flip);
          p += pitch;
          panel += size;
        }
      } else {
        for (let col = before; col < end; col++) {
          copyBytes(panel, p, size, flip);
          p += pitch;
          panel += size;
        }
      }
      fill(panel, zero, size * <usize>(cols - end));
      panel += size * <usize>(cols - end);
    } else {
      for (let col = -left; col < cols - left; col++) {
        const x = col / spreadX;
        if (col < 0 || col % spreadX != 0 || x >= width) fill(panel, zero, size);
        else if (operand == WIDE) copyWide(panel, from + pitch * <usize>x, size, flip);
        else copyBytes(panel, from + pitch * <usize>x, size, flip);
        panel += size;
      }
    }
  }
}
