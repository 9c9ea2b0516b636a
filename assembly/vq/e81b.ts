// gemv of E81B codes by table lookup, exact for int8 activations. Layout, algebra and bounds: README.md in this folder.
import { finishRows } from "../lib/finish";
import { groupStart, TILE_ROWS, tileHeight } from "../lib/layout";
import { hidden, hiddenSplat8, highNibble, lookup } from "../lib/simd";
import { INT8_BASE } from "../lut/prepare";
import { addExact } from "../lut/tile";
import { foldParity, secondAxis } from "./decode";
import { evenBytes, join } from "./join";
import { UNIT_BYTES } from "./prepare";

// Units of a block: sums of unsigned bytes 255·n <= 65535 allow 257; tables of 64 units are 7 KB.
const BLOCK: i32 = 64;

// acc[16] += Σ 2w·q over n <= BLOCK units of 16 rows, exact in int32.
// @ts-ignore: decorator
@inline
function addBlock(w: usize, stride: usize, tables: usize, n: i32, acc: usize, hide: i32): void {
  const nibble = hiddenSplat8(15, hide), eight = hiddenSplat8(8, hide), top = hiddenSplat8(128, hide);
  const parity = hidden(i8x16(0, -128, -128, 0, -128, 0, 0, -128, -128, 0, 0, -128, 0, -128, -128, 0), hide);
  const zero = i16x8.splat(0), end = tables + <usize>n * UNIT_BYTES;
  let ha = zero, ho = zero, la = zero, lo = zero;
  do {
    const code = v128.load(w), halves = i8x16.gt_s(zero, code), axes = i8x16.eq(halves, zero);
    const first = v128.and(code, nibble), second = secondAxis(code, first, nibble, eight);
    const i = v128.or(first, halves), j = v128.or(second, halves);
    const signs = v128.xor(code, lookup(parity, foldParity(code, nibble)));
    const v = v128.or(first, axes), u = v128.or(highNibble(signs, nibble), axes), bias = v128.and(axes, top);
    const h = v128.load(tables, 64), l = v128.load(tables, 80);
    let sum = i8x16.add(lookup(h, i), lookup(h, j));
    sum = i8x16.add(i8x16.add(sum, sum), i8x16.add(lookup(v128.load(tables), v), lookup(v128.load(tables, 16), u)));
    sum = v128.xor(sum, bias);
    ha = i16x8.add(ha, sum);
    ho = i16x8.add(ho, i16x8.shr_u(sum, 8));
    sum = i8x16.add(lookup(l, i), lookup(l, j));
    sum = i8x16.add(i8x16.add(sum, sum), i8x16.add(lookup(v128.load(tables, 32), v), lookup(v128.load(tables, 48), u)));
    sum = v128.xor(sum, bias);
    la = i16x8.add(la, sum);
    lo = i16x8.add(lo, i16x8.shr_u(sum, 8));
    tables += UNIT_BYTES;
    w += stride;
  } while (tables < end);
  const biases = i16x8.splat(<i16>(n << 7)), weights = i32x4.splat((1 << 16) | INT8_BASE);
  join(acc, i16x8.sub(evenBytes(ha, ho), biases), i16x8.sub(evenBytes(la, lo), biases), weights);
  join(acc + 32, i16x8.sub(ho, biases), i16x8.sub(lo, biases), weights);
}

// Blocks outside, rows inside, as gemv_e8p_int8_16x8.
export function gemv_e81b_int8_16x8(
  w: usize, scales: usize, tables: usize, _totals: usize, y: usize,
  rowBegin: i32, rowEnd: i32, paddedRows: i32, byteCols: i32, groupByteCols: i32, factor: f32,
  offsets: usize, sums: usize,
): void {
  const rowBytes = <usize>paddedRows << 2, groups = (byteCols + groupByteCols - 1) / groupByteCols;
  for (let row = rowBegin; row < rowEnd; row += TILE_ROWS) {
    const height = tileHeight(row, paddedRows), stride = <usize>height, bytes = <usize>height << 2;
    const out = y + (<usize>row << 2), acc = out + rowBytes;
    let p = w + <usize>row * <usize>byteCols, s = scales + groupStart(row, groups), t = tables;
    memory.fill(out, 0, bytes);
    for (let group = 0; group < byteCols; group += groupByteCols) {
      const groupEnd = min(group + groupByteCols, byteCols);
      memory.fill(acc, 0, bytes);
      for (let block = group; block < groupEnd; block += BLOCK) {
        const n = min(BLOCK, groupEnd - block);
        for (let i = 0; i < height; i += 16) addBlock(p + <usize>i, stride, t, n, acc + (<usize>i << 2), byteCols);
        p += <usize>n * stride;
        t += <usize>n * UNIT_BYTES;
      }
      for (let o: usize = 0; o < bytes; o += 16) addExact(v128.load(acc + o), s + o, out + o);
      s += bytes;
    }
    finishRows(out, height, row, 1, factor, offsets, sums, groups);
  }
}
