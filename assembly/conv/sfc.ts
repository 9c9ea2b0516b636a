// What SFC-6(6), SFC-6(7) and SFC-4(4) have in common (He et al., "SFC: Achieving accurate fast convolution under low-precision
// arithmetic", arXiv 2407.02913): tiles with their borders, and the products of a frequency. README.md has the algebra.
import { finish } from "./finish";
import {
  address, BLOCK_BYTES, bytes, CONSTANTS, GROUP_IN, GROUP_OUT, M_PLANE, PAD_LEFT, PAD_TOP, RESIDUAL, RESIDUAL_KIND,
  RESIDUAL_PITCH, TILES_ACROSS, WEIGHTS, word, X, X_FLIP, X_HEIGHT, X_PITCH, X_PLANE, X_WIDTH, X_ZERO, Y, Y_HEIGHT, Y_KIND,
  Y_PITCH, Y_WIDTH,
} from "./record";

/** 8 channels of a pixel as int16. */
// @ts-ignore: decorator
@inline
export function load8(p: usize, flip: v128): v128 {
  return i16x8.extend_low_i8x16_s(v128.xor(v128.load64_zero(p), flip));
}

/**
 * Where tile number `tile` of `size` x `size` outputs has its first pixel of the input, of size + 2 in a row: in the map where it
 * lies inside, else in a copy at `patch` with the zero point around. patchRow: bytes of a row of the copy.
 */
export function tileSource(record: usize, tile: i32, size: i32, patch: usize): usize {
  const across = word(record, TILES_ACROSS), pitch = <usize>word(record, X_PITCH);
  const height = word(record, X_HEIGHT), width = word(record, X_WIDTH), side = size + 2;
  const top = tile / across * size - word(record, PAD_TOP), left = tile % across * size - word(record, PAD_LEFT);
  if (isInside(record, tile, size)) return address(record, X) + pitch * <usize>(top * width + left);
  const zero = v128.xor(i8x16.splat(<i8>word(record, X_ZERO)), bytes(record, X_FLIP));
  for (let y = top; y < top + side; y++) {
    for (let x = left; x < left + side; x++) {
      if (y < 0 || y >= height || x < 0 || x >= width) {
        for (let i: usize = 0; i < pitch; i += 16) v128.store(patch + i, zero);
      } else {
        const from = address(record, X) + pitch * <usize>(y * width + x);
        for (let i: usize = 0; i < pitch; i += 16) v128.store(patch + i, v128.load(from + i));
      }
      patch += pitch;
    }
  }
  return patch - pitch * <usize>(side * side);
}

/** Whether a tile and its border lie inside of the map. */
// @ts-ignore: decorator
@inline
export function isInside(record: usize, tile: i32, size: i32): bool {
  const across = word(record, TILES_ACROSS), side = size + 2;
  const top = tile / across * size - word(record, PAD_TOP), left = tile % across * size - word(record, PAD_LEFT);
  return top >= 0 && left >= 0 && top + side <= word(record, X_HEIGHT) && left + side <= word(record, X_WIDTH);
}

/**
 * M[f][tile][output] = Σ over channels of X[f][tile][channel] · U[f][output][channel], modulo 2^32.
 * X int16, U int16 [f][K / 16][C / 2][16][2], M int32; an odd last tile is computed with whatever follows it.
 */
export function products(record: usize, X: usize, M: usize, tiles: i32, frequencies: i32): void {
  const channels = <usize>((word(record, GROUP_IN) + 7) & ~7), outputs = (word(record, GROUP_OUT) + 15) & ~15;
  const size = channels << 1, tileBytes = <usize>outputs << 2;
  const xPlane = <usize>word(record, X_PLANE), mPlane = <usize>word(record, M_PLANE);
  let u = address(record, WEIGHTS);
  for (let f = 0; f < frequencies; f++) {
    for (let k = 0; k < outputs; k += 16) {
      let x = X, m = M + (<usize>k << 2);
      for (let tile = 0; tile < tiles; tile += 2) {
        frequency(x, size, u, m, tileBytes);
        x += 2 * size;
        m += 2 * tileBytes;
      }
      u += size << 4;
    }
    X += xPlane;
    M += mPlane;
  }
}

// 16 outputs of two tiles.
// @ts-ignore: decorator
@inline
function frequency(x: usize, size: usize, w: usize, to: usize, tileBytes: usize): void {
  const none = i32x4.splat(0);
  let a0 = none, a1 = none, a2 = none, a3 = none, b0 = none, b1 = none, b2 = none, b3 = none;
  const end = x + size;
  do {
    const w0 = v128.load(w), w1 = v128.load(w, 16), w2 = v128.load(w, 32), w3 = v128.load(w, 48);
    let v = v128.load32_splat(x);
    a0 = i32x4.add(a0, i32x4.dot_i16x8_s(v, w0));
    a1 = i32x4.add(a1, i32x4.dot_i16x8_s(v, w1));
    a2 = i32x4.add(a2, i32x4.dot_i16x8_s(v, w2));
    a3 = i32x4.add(a3, i32x4.dot_i16x8_s(v, w3));
    v = v128.load32_splat(x + size);
    b0 = i32x4.add(b0, i32x4.dot_i16x8_s(v, w0));
    b1 = i32x4.add(b1, i32x4.dot_i16x8_s(v, w1));
    b2 = i32x4.add(b2, i32x4.dot_i16x8_s(v, w2));
    b3 = i32x4.add(b3, i32x4.dot_i16x8_s(v, w3));
    w += 64;
    x += 4;
  } while (x < end);
  v128.store(to, a0);
  v128.store(to, a1, 16);
  v128.store(to, a2, 32);
  v128.store(to, a3, 48);
  to += tileBytes;
  v128.store(to, b0);
  v128.store(to, b1, 16);
  v128.store(to, b2, 32);
  v128.store(to, b3, 48);
}

/** Stores 16 outputs, from k on, of tile number `tile`: sums int32 [size][size][16], of which the map has a part. */
export function finishTile(record: usize, tile: i32, size: i32, k: i32, sums: usize): void {
  const across = word(record, TILES_ACROSS), width = word(record, Y_WIDTH);
  const top = tile / across * size, left = tile % across * size;
  const yPitch = <usize>word(record, Y_PITCH), rPitch = <usize>word(record, RESIDUAL_PITCH);
  const elementShift: usize = word(record, Y_KIND) == 0 ? 0 : 2, residualShift: usize = word(record, RESIDUAL_KIND) == 0 ? 0 : 2;
  const at = <usize>(top * width + left), residual = address(record, RESIDUAL);
  finish(
    record, address(record, CONSTANTS) + BLOCK_BYTES * <usize>(k >> 4), sums, <usize>size << 6,
    min(size, word(record, Y_HEIGHT) - top), min(size, width - left),
    address(record, Y) + at * yPitch + (<usize>k << elementShift), yPitch * <usize>width,
    residual ? residual + at * rPitch + (<usize>k << residualShift) : 0, rPitch * <usize>width, 16,
  );
}
