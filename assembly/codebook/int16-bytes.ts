// gemv with one table of 16 int16 entries for all rows, on machines whose relaxed dot product takes whole bytes (dot/whole.ts):
// the low and the high byte of an entry are looked up and multiplied apart, and nothing is zipped. For the relaxed binary
// only. Layout, algebra and bounds: README.md in this folder.
import { byteDot } from "../dot/whole";
import { finishRows } from "../lib/finish";
import { STRIP_BYTES, stripStart } from "../lib/layout";
import { hiddenSplat8, highNibble, lookup } from "../lib/simd";
import { addExact } from "../lut/tile";
import { dot_sign } from "../probe";
import { chunkBytes } from "./fields";

// Σ (256·h + l)·x = 256·Σ H·x + Σ L·x + middle·Σ x: unsigned bytes are H = h + 128 and L = l, signed ones H = h and L = l - 128.
// @ts-ignore: decorator
@inline
function strips(
  w: usize, scales: usize, panel: usize, sums: usize, y: usize, rowBegin: i32, rowEnd: i32, byteCols: i32,
  groupByteCols: i32, factor: f32, offsets: usize, fsums: usize, l: v128, h: v128, middle: i32, whole: bool,
): void {
  const nibble = hiddenSplat8(15, byteCols), zero = i32x4.splat(0);
  const groups = (byteCols + groupByteCols - 1) / groupByteCols, stripBytes = <usize>byteCols * <usize>(chunkBytes(4) << 4);
  for (let row = rowBegin; row < rowEnd; row += 16) {
    const out = y + (<usize>row << 2);
    let strip = w + <usize>(row >> 4) * stripBytes, from = panel, s = scales + stripStart(row, groups), sum = sums;
    memory.fill(out, 0, 64);
    for (let group = 0; group < byteCols; group += groupByteCols) {
      const n = <usize>min(groupByteCols, byteCols - group), end = from + (n << 3);
      const start = i32x4.splat(middle * load<i32>(sum));
      for (let rows: usize = 0; rows < 64; rows += 32) {
        let a = start, b = zero, c = start, d = zero, ah = zero, bh = zero, ch = zero, dh = zero;
        for (let p = strip + rows, x = from; x < end; x += 8, p += 64) {
          const x0 = v128.load32_splat(x), x1 = v128.load32_splat(x, 4);
          let u = v128.load(p), i = v128.and(u, nibble);
          a = byteDot(a, lookup(l, i), x0, whole), ah = byteDot(ah, lookup(h, i), x0, whole);
          i = highNibble(u, nibble);
          b = byteDot(b, lookup(l, i), x1, whole), bh = byteDot(bh, lookup(h, i), x1, whole);
          u = v128.load(p, 16), i = v128.and(u, nibble);
          c = byteDot(c, lookup(l, i), x0, whole), ch = byteDot(ch, lookup(h, i), x0, whole);
          i = highNibble(u, nibble);
          d = byteDot(d, lookup(l, i), x1, whole), dh = byteDot(dh, lookup(h, i), x1, whole);
        }
        addExact(i32x4.add(i32x4.add(a, b), i32x4.shl(i32x4.add(ah, bh), 8)), s + rows, out + rows);
        addExact(i32x4.add(i32x4.add(c, d), i32x4.shl(i32x4.add(ch, dh), 8)), s + rows + 16, out + rows + 16);
      }
      strip += n << 6;
      from = end;
      s += STRIP_BYTES;
      sum += 4;
    }
    finishRows(out, 16, row, 1, factor, offsets, fsums, groups);
  }
}

/** panel: q as it is. Sums are exact modulo 2^32 on the way and within 127·32767·512 < 2^31 at the end. */
export function gemv_codebook4_i16_int8_16x8_byte(
  w: usize, scales: usize, panel: usize, sums: usize, y: usize,
  rowBegin: i32, rowEnd: i32, _paddedRows: i32, byteCols: i32, groupByteCols: i32, factor: f32,
  offsets: usize, fsums: usize, table: usize,
): void {
  const sign = dot_sign(byteCols >>> 31), top = hiddenSplat8(-128, byteCols);
  const l = v128.load(table), h = v128.load(table, 16);
  if (sign < 0) {
    strips(
      w, scales, panel, sums, y, rowBegin, rowEnd, byteCols, groupByteCols, factor, offsets, fsums,
      v128.xor(l, top), h, 128, true,
    );
  } else if (sign > 0) {
    strips(
      w, scales, panel, sums, y, rowBegin, rowEnd, byteCols, groupByteCols, factor, offsets, fsums,
      l, v128.xor(h, top), -32768, true,
    );
  } else {
    strips(
      w, scales, panel, sums, y, rowBegin, rowEnd, byteCols, groupByteCols, factor, offsets, fsums,
      l, v128.xor(h, top), -32768, false,
    );
  }
}
