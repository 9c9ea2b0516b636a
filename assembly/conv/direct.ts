// Convolution as it is defined: README.md has the layouts and the bounds.
import { finish } from "./finish";
import { fillPanel } from "./panel";
import {
  address, BLOCK_BYTES, CONSTANTS, DILATION_X, DILATION_Y, GROUP_IN, GROUP_OUT, GROUPS, KERNEL_X, KERNEL_Y, OPERAND, PAD_TOP,
  PIXEL, RESIDUAL, RESIDUAL_KIND, RESIDUAL_PITCH, STRIDE_X, STRIDE_Y, SUMS_AT, UNIT, UNIT_ROWS, WEIGHTS, WIDE, word, WORK_AT, Y,
  Y_HEIGHT, Y_KIND, Y_PITCH, Y_WIDTH,
} from "./record";

// Four products of bytes a lane, weights signed; activations as operand 2 are unsigned or signed, as the machine takes them.
// @ts-ignore: decorator
@inline
function addBytes(sum: v128, x: v128, w: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i32x4.relaxed_dot_i8x16_i7x16_add_s(w, x, sum);
  return sum;
}
// Two products of int16 a lane.
// @ts-ignore: decorator
@inline
function addWide(sum: v128, x: v128, w: v128): v128 {
  return i32x4.add(sum, i32x4.dot_i16x8_s(x, w));
}

/**
 * 16 outputs of two pixels: sums over runs of `length` bytes at the offsets from `runs` to before `runsEnd`, to int32 [2][16].
 * x: the first pixel's window, `pixel` bytes before the second's. w: 64 bytes for every 4 of x.
 */
// @ts-ignore: decorator
@inline
function pair(x: usize, pixel: usize, runs: usize, runsEnd: usize, length: usize, w: usize, to: usize, wide: bool): void {
  const none = i32x4.splat(0);
  let a0 = none, a1 = none, a2 = none, a3 = none, b0 = none, b1 = none, b2 = none, b3 = none;
  do {
    let p = x + <usize>load<u32>(runs);
    const end = p + length;
    do {
      const w0 = v128.load(w), w1 = v128.load(w, 16), w2 = v128.load(w, 32), w3 = v128.load(w, 48);
      let v = v128.load32_splat(p);
      a0 = wide ? addWide(a0, v, w0) : addBytes(a0, v, w0);
      a1 = wide ? addWide(a1, v, w1) : addBytes(a1, v, w1);
      a2 = wide ? addWide(a2, v, w2) : addBytes(a2, v, w2);
      a3 = wide ? addWide(a3, v, w3) : addBytes(a3, v, w3);
      v = v128.load32_splat(p + pixel);
      b0 = wide ? addWide(b0, v, w0) : addBytes(b0, v, w0);
      b1 = wide ? addWide(b1, v, w1) : addBytes(b1, v, w1);
      b2 = wide ? addWide(b2, v, w2) : addBytes(b2, v, w2);
      b3 = wide ? addWide(b3, v, w3) : addBytes(b3, v, w3);
      w += 64;
      p += 4;
    } while (p < end);
    runs += 4;
  } while (runs < runsEnd);
  v128.store(to, a0);
  v128.store(to, a1, 16);
  v128.store(to, a2, 32);
  v128.store(to, a3, 48);
  v128.store(to, b0, 64);
  v128.store(to, b1, 80);
  v128.store(to, b2, 96);
  v128.store(to, b3, 112);
}

// A row of the output, `n` pixels, the last of an odd number twice.
// @ts-ignore: decorator
@inline
function line(
  x: usize, n: i32, pixel: usize, runs: usize, runsEnd: usize, length: usize, w: usize, sums: usize, wide: bool,
): void {
  for (let i = 0; i < n; i += 2) {
    pair(x, pixel, runs, runsEnd, length, w, sums, wide);
    x += 2 * pixel;
    sums += 128;
  }
}

/** Rows of the output of the units begin / 64 to before end / 64, UNIT rows each. */
export function conv_direct(record: usize, begin: i32, end: i32, scratch: usize): void {
  const unit = word(record, UNIT), height = word(record, Y_HEIGHT), width = word(record, Y_WIDTH);
  const strideY = word(record, STRIDE_Y), strideX = word(record, STRIDE_X);
  const kernelY = word(record, KERNEL_Y), kernelX = word(record, KERNEL_X);
  const dilationY = word(record, DILATION_Y), dilationX = word(record, DILATION_X);
  const cols = (width - 1) * strideX + (kernelX - 1) * dilationX + 1;
  const size = <usize>word(record, PIXEL), rowBytes = size * <usize>cols;
  const groups = word(record, GROUPS), groupIn = word(record, GROUP_IN), groupOut = word(record, GROUP_OUT);
  const wide = word(record, OPERAND) == WIDE;
  // Taps of a row of the kernel follow each other where there is no dilation: one run.
  const parts = dilationX == 1 ? 1 : kernelX;
  const length = dilationX == 1 ? size * <usize>kernelX : size;
  const runs = scratch + <usize>word(record, WORK_AT);
  let runsEnd = runs;
  for (let y = 0; y < kernelY; y++) {
    for (let x = 0; x < parts; x++) {
      store<u32>(runsEnd, <u32>(rowBytes * <usize>(y * dilationY) + size * <usize>(x * dilationX)));
      runsEnd += 4;
    }
  }
  const tapBytes = <usize>(kernelY * kernelX) * (size << 4);
  const yPitch = <usize>word(record, Y_PITCH), rPitch = <usize>word(record, RESIDUAL_PITCH);
  const elementShift: usize = word(record, Y_KIND) == 0 ? 0 : 2, residualShift: usize = word(record, RESIDUAL_KIND) == 0 ? 0 : 2;
  const sums = scratch + <usize>word(record, SUMS_AT), residual = address(record, RESIDUAL);
  for (let row = begin / UNIT_ROWS * unit; row < min(height, (end + UNIT_ROWS - 1) / UNIT_ROWS * unit); row += unit) {
    const rows = min(unit, height - row);
    let w = address(record, WEIGHTS), constants = address(record, CONSTANTS);
    for (let group = 0; group < groups; group++) {
      fillPanel(
        record, <usize>(group * groupIn), row * strideY - word(record, PAD_TOP), (rows - 1) * strideY + (kernelY - 1) * dilationY + 1,
        cols, scratch,
      );
      for (let k = 0; k < groupOut; k += 16) {
        const output = <usize>(group * groupOut + k), count = groups == 1 ? 16 : groupOut - k;
        for (let i = 0; i < rows; i++) {
          const x = scratch + rowBytes * <usize>(i * strideY), pixel = size * <usize>strideX;
          if (wide) line(x, width, pixel, runs, runsEnd, length, w, sums, true);
          else line(x, width, pixel, runs, runsEnd, length, w, sums, false);
          const at = <usize>((row + i) * width);
          finish(
            record, constants, sums, 0, 1, width, address(record, Y) + at * yPitch + (output << elementShift), 0,
            residual ? residual + at * rPitch + (output << residualShift) : 0, 0, count,
          );
        }
        w += tapBytes;
        constants += BLOCK_BYTES;
      }
    }
  }
}
