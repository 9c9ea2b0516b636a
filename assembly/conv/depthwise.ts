// Depthwise convolution: a filter a channel, no sum over channels. 16 channels at a time, two taps a multiplication.
import { finish } from "./finish";
import { fillPanel } from "./panel";
import {
  address, BLOCK_BYTES, CONSTANTS, DILATION_X, DILATION_Y, GROUPS, KERNEL_X, KERNEL_Y, PAD_TOP, PIXEL, RESIDUAL, RESIDUAL_KIND,
  RESIDUAL_PITCH, STRIDE_X, STRIDE_Y, SUMS_AT, UNIT, UNIT_ROWS, WEIGHTS, word, WORK_AT, Y, Y_HEIGHT, Y_KIND, Y_PITCH, Y_WIDTH,
} from "./record";
import { zipHigh16, zipLow16 } from "../lib/simd";

// 16 channels of a pixel: taps in pairs, x at `from` + the offsets of both. w: int16 [pair][16 channels][2 taps].
// @ts-ignore: decorator
@inline
function taps(from: usize, offsets: usize, pairs: i32, w: usize, to: usize): void {
  const none = i32x4.splat(0);
  let a = none, b = none, c = none, d = none;
  for (let i = 0; i < pairs; i++) {
    const p = from + <usize>load<i32>(offsets), q = from + <usize>load<i32>(offsets, 4);
    const p0 = v128.load(p), q0 = v128.load(q), p1 = v128.load(p, 16), q1 = v128.load(q, 16);
    a = i32x4.add(a, i32x4.dot_i16x8_s(zipLow16(p0, q0), v128.load(w)));
    b = i32x4.add(b, i32x4.dot_i16x8_s(zipHigh16(p0, q0), v128.load(w, 16)));
    c = i32x4.add(c, i32x4.dot_i16x8_s(zipLow16(p1, q1), v128.load(w, 32)));
    d = i32x4.add(d, i32x4.dot_i16x8_s(zipHigh16(p1, q1), v128.load(w, 48)));
    offsets += 8;
    w += 64;
  }
  v128.store(to, a);
  v128.store(to, b, 16);
  v128.store(to, c, 32);
  v128.store(to, d, 48);
}

/** As conv_direct, for as many groups as channels. PIXEL is 32: 16 channels as int16. */
export function conv_depthwise(record: usize, begin: i32, end: i32, scratch: usize): void {
  const unit = word(record, UNIT), height = word(record, Y_HEIGHT), width = word(record, Y_WIDTH);
  const strideY = word(record, STRIDE_Y), strideX = word(record, STRIDE_X);
  const kernelY = word(record, KERNEL_Y), kernelX = word(record, KERNEL_X);
  const dilationY = word(record, DILATION_Y), dilationX = word(record, DILATION_X);
  const cols = (width - 1) * strideX + (kernelX - 1) * dilationX + 1;
  const size = <usize>word(record, PIXEL), rowBytes = size * <usize>cols;
  const yPitch = <usize>word(record, Y_PITCH), rPitch = <usize>word(record, RESIDUAL_PITCH);
  const elementShift: usize = word(record, Y_KIND) == 0 ? 0 : 2, residualShift: usize = word(record, RESIDUAL_KIND) == 0 ? 0 : 2;
  const sums = scratch + <usize>word(record, SUMS_AT), residual = address(record, RESIDUAL);
  const offsets = scratch + <usize>word(record, WORK_AT), pairs = (kernelY * kernelX + 1) >> 1;
  let offset = offsets;
  for (let y = 0; y < kernelY; y++) {
    for (let x = 0; x < kernelX; x++) {
      store<i32>(offset, <i32>(rowBytes * <usize>(y * dilationY) + size * <usize>(x * dilationX)));
      offset += 4;
    }
  }
  // The second of an odd number of taps: any pixel, its weights are 0.
  store<i32>(offset, 0);
  for (let row = begin / UNIT_ROWS * unit; row < min(height, (end + UNIT_ROWS - 1) / UNIT_ROWS * unit); row += unit) {
    const rows = min(unit, height - row);
    let w = address(record, WEIGHTS), constants = address(record, CONSTANTS);
    for (let k = 0; k < word(record, GROUPS); k += 16) {
      fillPanel(
        record, k, row * strideY - word(record, PAD_TOP), (rows - 1) * strideY + (kernelY - 1) * dilationY + 1, cols, scratch,
      );
      for (let i = 0; i < rows; i++) {
        let x = scratch + rowBytes * <usize>(i * strideY), to = sums;
        for (let j = 0; j < width; j++) {
          taps(x, offsets, pairs, w, to);
          x += size * <usize>strideX;
          to += 64;
        }
        const at = <usize>((row + i) * width);
        finish(
          record, constants, sums, 0, 1, width, address(record, Y) + at * yPitch + (<usize>k << elementShift), 0,
          residual ? residual + at * rPitch + (<usize>k << residualShift) : 0, 0, 16,
        );
      }
      w += <usize>pairs << 6;
      constants += BLOCK_BYTES;
    }
  }
}
