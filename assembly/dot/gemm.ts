// gemm by integer dot products: a tile of weights is unpacked once to codes and then meets every token. One driver for
// all formats, which differ in how a block is unpacked. Layout, algebra and bounds: README.md in this folder.
import { finishRows } from "../lib/finish";
import { groupStart, STRIP_BYTES, TILE_ROWS, tileHeight } from "../lib/layout";
import { hidden } from "../lib/simd";
import { addExact } from "../lut/tile";
import { centre, COMPANDED, depth, E81B, E8P, SIGNS, TRELLIS_HALVES, unpack, unpackWide } from "./kinds";
import { step, STEP_BYTES } from "./step";
import { stripAt, unitSteps, unpackWhole } from "./unpack";
import { dot_sign } from "../probe";

// Steps of one unpacked block: 64 rows x 64 steps x 4 bytes = 16 KB, half of a first-level cache. A multiple of every
// layout's chunk.
export const BLOCK_STEPS: i32 = 64;
export const BLOCK_BYTES: usize = 16384;

// sums[16] += four vectors of sums of 4 rows.
// @ts-ignore: decorator
@inline
function flush(sums: usize, a0: v128, a1: v128, a2: v128, a3: v128): void {
  v128.store(sums, i32x4.add(v128.load(sums), a0));
  v128.store(sums, i32x4.add(v128.load(sums, 16), a1), 16);
  v128.store(sums, i32x4.add(v128.load(sums, 32), a2), 32);
  v128.store(sums, i32x4.add(v128.load(sums, 48), a3), 48);
}

// The same from 16-bit lanes.
// @ts-ignore: decorator
@inline
function widen(sums: usize, a0: v128, a1: v128, a2: v128, a3: v128, ones: v128): void {
  v128.store(sums, i32x4.add(v128.load(sums), i32x4.dot_i16x8_s(a0, ones)));
  v128.store(sums, i32x4.add(v128.load(sums, 16), i32x4.dot_i16x8_s(a1, ones)), 16);
  v128.store(sums, i32x4.add(v128.load(sums, 32), i32x4.dot_i16x8_s(a2, ones)), 32);
  v128.store(sums, i32x4.add(v128.load(sums, 48), i32x4.dot_i16x8_s(a3, ones)), 48);
}

// @ts-ignore: decorator
@inline
function flush8(sums: usize, a: v128, b: v128): void {
  v128.store(sums, i32x4.add(v128.load(sums), a));
  v128.store(sums, i32x4.add(v128.load(sums, 16), b), 16);
}

// y[8] += scales · (sums - less)
// @ts-ignore: decorator
@inline
function scaleRows8(y: usize, scales: usize, a: v128, b: v128, less: i32): void {
  const c = i32x4.splat(less);
  addExact(i32x4.sub(a, c), scales, y);
  addExact(i32x4.sub(b, c), scales + 16, y + 16);
}

// y[2 tokens][16 rows] += scales · (sums - less): all that is left of a group that one block of codes has.
// @ts-ignore: decorator
@inline
function scaleTile(
  y: usize, rowBytes: usize, scales: usize, a0: v128, a1: v128, a2: v128, a3: v128, b0: v128, b1: v128, b2: v128, b3: v128,
  less0: i32, less1: i32,
): void {
  scaleRows8(y, scales, a0, a1, less0);
  scaleRows8(y + 32, scales + 32, a2, a3, less0);
  scaleRows8(y + rowBytes, scales, b0, b1, less1);
  scaleRows8(y + rowBytes + 32, scales + 32, b2, b3, less1);
}

// sums[2 tokens][16 rows] += codes x activations, in 32-bit lanes; or, `direct`, to y at once.
// @ts-ignore: decorator
@inline
function multiply(
  codes: usize, panel: usize, steps: i32, sums: usize, wide: bool,
  direct: bool, y: usize, rowBytes: usize, scales: usize, less0: i32, less1: i32,
): void {
  const zero = i32x4.splat(0);
  let a0 = zero, a1 = zero, a2 = zero, a3 = zero, b0 = zero, b1 = zero, b2 = zero, b3 = zero;
  const end = panel + (<usize>steps << 3);
  do {
    const w0 = v128.load(codes), w1 = v128.load(codes, 16), w2 = v128.load(codes, 32), w3 = v128.load(codes, 48);
    let x = v128.load32_splat(panel);
    a0 = wide ? wideStep(a0, x, w0) : step(a0, x, w0, true);
    a1 = wide ? wideStep(a1, x, w1) : step(a1, x, w1, true);
    a2 = wide ? wideStep(a2, x, w2) : step(a2, x, w2, true);
    a3 = wide ? wideStep(a3, x, w3) : step(a3, x, w3, true);
    x = v128.load32_splat(panel, 4);
    b0 = wide ? wideStep(b0, x, w0) : step(b0, x, w0, true);
    b1 = wide ? wideStep(b1, x, w1) : step(b1, x, w1, true);
    b2 = wide ? wideStep(b2, x, w2) : step(b2, x, w2, true);
    b3 = wide ? wideStep(b3, x, w3) : step(b3, x, w3, true);
    codes += STEP_BYTES;
    panel += 8;
  } while (panel < end);
  if (direct) {
    scaleTile(y, rowBytes, scales, a0, a1, a2, a3, b0, b1, b2, b3, less0, less1);
  } else {
    flush(sums, a0, a1, a2, a3);
    flush(sums + 256, b0, b1, b2, b3);
  }
}

// sums[6 tokens][8 rows] += codes x activations, in 32-bit lanes: as many sums as there are registers, for processors whose dot
// product takes 4 cycles through its sum and of which two are issued a cycle (AVX-VNNI). Three pairs of tokens, `pairBytes` apart.
// @ts-ignore: decorator
@inline
function multiplySix(
  codes: usize, panel: usize, pairBytes: usize, steps: i32, sums: usize, sumBytes: usize,
  direct: bool, y: usize, rowBytes: usize, scales: usize, groupSums: usize, tokenBytes: usize, middle: i32,
): void {
  const zero = i32x4.splat(0), end = panel + (<usize>steps << 3);
  let a0 = zero, a1 = zero, b0 = zero, b1 = zero, c0 = zero, c1 = zero;
  let d0 = zero, d1 = zero, e0 = zero, e1 = zero, f0 = zero, f1 = zero;
  let second = panel + pairBytes, third = second + pairBytes;
  do {
    const w0 = v128.load(codes), w1 = v128.load(codes, 16);
    let x = v128.load32_splat(panel);
    a0 = step(a0, x, w0, true), a1 = step(a1, x, w1, true);
    x = v128.load32_splat(panel, 4);
    b0 = step(b0, x, w0, true), b1 = step(b1, x, w1, true);
    x = v128.load32_splat(second);
    c0 = step(c0, x, w0, true), c1 = step(c1, x, w1, true);
    x = v128.load32_splat(second, 4);
    d0 = step(d0, x, w0, true), d1 = step(d1, x, w1, true);
    x = v128.load32_splat(third);
    e0 = step(e0, x, w0, true), e1 = step(e1, x, w1, true);
    x = v128.load32_splat(third, 4);
    f0 = step(f0, x, w0, true), f1 = step(f1, x, w1, true);
    codes += STEP_BYTES;
    panel += 8;
    second += 8;
    third += 8;
  } while (panel < end);
  if (direct) {
    scaleRows8(y, scales, a0, a1, middle * load<i32>(groupSums));
    scaleRows8(y + rowBytes, scales, b0, b1, middle * load<i32>(groupSums + tokenBytes));
    scaleRows8(y + 2 * rowBytes, scales, c0, c1, middle * load<i32>(groupSums + 2 * tokenBytes));
    scaleRows8(y + 3 * rowBytes, scales, d0, d1, middle * load<i32>(groupSums + 3 * tokenBytes));
    scaleRows8(y + 4 * rowBytes, scales, e0, e1, middle * load<i32>(groupSums + 4 * tokenBytes));
    scaleRows8(y + 5 * rowBytes, scales, f0, f1, middle * load<i32>(groupSums + 5 * tokenBytes));
  } else {
    flush8(sums, a0, a1);
    flush8(sums + 256, b0, b1);
    flush8(sums + sumBytes, c0, c1);
    flush8(sums + sumBytes + 256, d0, d1);
    flush8(sums + 2 * sumBytes, e0, e1);
    flush8(sums + 2 * sumBytes + 256, f0, f1);
  }
}

// @ts-ignore: decorator
@inline
function wideStep(sum: v128, x: v128, codes: v128): v128 {
  return i32x4.add(sum, i32x4.dot_i16x8_s(x, codes));
}

// A step in 16-bit lanes. Without a byte dot product nothing calls it, but it has to compile.
// @ts-ignore: decorator
@inline
function product(x: v128, codes: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i16x8.relaxed_dot_i8x16_i7x16_s(x, codes);
  return x;
}

// The same in 16-bit lanes, `depth` steps at a time; depth and steps are even. Two steps a turn, in blocks of code that a way out
// which is never taken parts: V8 schedules a block by its results, and would keep the codes of both in registers.
// @ts-ignore: decorator
@inline
function multiplyNarrow(
  codes: usize, panel: usize, steps: i32, sums: usize, depth: i32, ones: v128,
): void {
  const end = panel + (<usize>steps << 3);
  do {
    const flushEnd = min(panel + (<usize>depth << 3), end);
    let w0 = v128.load(codes), w1 = v128.load(codes, 16), w2 = v128.load(codes, 32), w3 = v128.load(codes, 48);
    let x = v128.load32_splat(panel);
    let a0 = product(x, w0), a1 = product(x, w1), a2 = product(x, w2), a3 = product(x, w3);
    x = v128.load32_splat(panel, 4);
    let b0 = product(x, w0), b1 = product(x, w1), b2 = product(x, w2), b3 = product(x, w3);
    while (true) {
      w0 = v128.load(codes, 256), w1 = v128.load(codes, 272), w2 = v128.load(codes, 288), w3 = v128.load(codes, 304);
      x = v128.load32_splat(panel, 8);
      a0 = step(a0, x, w0, false);
      a1 = step(a1, x, w1, false);
      a2 = step(a2, x, w2, false);
      a3 = step(a3, x, w3, false);
      x = v128.load32_splat(panel, 12);
      b0 = step(b0, x, w0, false);
      b1 = step(b1, x, w1, false);
      b2 = step(b2, x, w2, false);
      b3 = step(b3, x, w3, false);
      codes += 2 * STEP_BYTES;
      panel += 16;
      if (panel >= flushEnd) break;
      w0 = v128.load(codes), w1 = v128.load(codes, 16), w2 = v128.load(codes, 32), w3 = v128.load(codes, 48);
      x = v128.load32_splat(panel);
      a0 = step(a0, x, w0, false);
      a1 = step(a1, x, w1, false);
      a2 = step(a2, x, w2, false);
      a3 = step(a3, x, w3, false);
      x = v128.load32_splat(panel, 4);
      b0 = step(b0, x, w0, false);
      b1 = step(b1, x, w1, false);
      b2 = step(b2, x, w2, false);
      b3 = step(b3, x, w3, false);
    }
    widen(sums, a0, a1, a2, a3, ones);
    widen(sums + 256, b0, b1, b2, b3, ones);
  } while (panel < end);
}

// acc + two steps of 4 rows, in 16-bit lanes for that long.
// @ts-ignore: decorator
@inline
function twoSteps(acc: v128, x: v128, w: v128, z: v128, v: v128, ones: v128): v128 {
  return i32x4.add(acc, i32x4.dot_i16x8_s(i16x8.add(product(x, w), product(z, v)), ones));
}

// The same for a depth of 2, with the sums in 32-bit lanes.
// @ts-ignore: decorator
@inline
function multiplyByTwos(codes: usize, panel: usize, steps: i32, sums: usize, ones: v128): void {
  const zero = i32x4.splat(0);
  let a0 = zero, a1 = zero, a2 = zero, a3 = zero, b0 = zero, b1 = zero, b2 = zero, b3 = zero;
  const end = panel + (<usize>steps << 3);
  do {
    const xz = v128.load(panel), xa = v128.shuffle<i32>(xz, xz, 0, 0, 0, 0), xb = v128.shuffle<i32>(xz, xz, 1, 1, 1, 1);
    const za = v128.shuffle<i32>(xz, xz, 2, 2, 2, 2), zb = v128.shuffle<i32>(xz, xz, 3, 3, 3, 3);
    let w = v128.load(codes), v = v128.load(codes, 256);
    a0 = twoSteps(a0, xa, w, za, v, ones);
    b0 = twoSteps(b0, xb, w, zb, v, ones);
    w = v128.load(codes, 16), v = v128.load(codes, 272);
    a1 = twoSteps(a1, xa, w, za, v, ones);
    b1 = twoSteps(b1, xb, w, zb, v, ones);
    w = v128.load(codes, 32), v = v128.load(codes, 288);
    a2 = twoSteps(a2, xa, w, za, v, ones);
    b2 = twoSteps(b2, xb, w, zb, v, ones);
    w = v128.load(codes, 48), v = v128.load(codes, 304);
    a3 = twoSteps(a3, xa, w, za, v, ones);
    b3 = twoSteps(b3, xb, w, zb, v, ones);
    codes += 2 * STEP_BYTES;
    panel += 16;
  } while (panel < end);
  flush(sums, a0, a1, a2, a3);
  flush(sums + 256, b0, b1, b2, b3);
}

/**
 * sums += an unpacked tile x pairs of tokens. `bytes`: 4 a row of the tile. sums: [2 tokens][64 rows] int32 of a pair,
 * sumBytes from pair to pair. `narrow`: 16-bit lanes, `depth` steps at a time.
 */
// @ts-ignore: decorator
@inline
export function multiplyPairs(
  codes: usize, bytes: usize, panel: usize, pairBytes: usize, pairs: i32, steps: i32, sums: usize, sumBytes: usize,
  depth: i32, ones: v128, narrow: bool, wide: bool,
): void {
  for (let pair = 0; pair < pairs; pair++) {
    if (!narrow || depth == 1) {
      for (let o: usize = 0; o < bytes; o += 64) multiply(codes + o, panel, steps, sums + o, wide, false, 0, 0, 0, 0, 0);
    } else if (depth > 2) {
      for (let o: usize = 0; o < bytes; o += 64) multiplyNarrow(codes + o, panel, steps, sums + o, depth, ones);
    } else {
      for (let o: usize = 0; o < bytes; o += 64) multiplyByTwos(codes + o, panel, steps, sums + o, ones);
    }
    panel += pairBytes;
    sums += sumBytes;
  }
}

// y[n][rows of a tile] += scales · (an unpacked tile x tokens - middle · Σ x) of a group that is one block. y, rowBytes from token to
// token; scales, `pitch` from strip to strip; groupSums, tokenBytes from token to token.
// @ts-ignore: decorator
@inline
function multiplyGroup(
  codes: usize, bytes: usize, panel: usize, pairBytes: usize, n: i32, steps: i32, six: bool, y: usize, rowBytes: usize,
  scales: usize, pitch: usize, groupSums: usize, tokenBytes: usize, middle: i32,
): void {
  let t = 0;
  if (six) for (; t + 6 <= n; t += 6) {
    for (let o: usize = 0; o < bytes; o += 32) {
      multiplySix(
        codes + o, panel, pairBytes, steps, 0, 0, true, y + o, rowBytes, scales + (o >> 6) * pitch + (o & 32), groupSums,
        tokenBytes, middle,
      );
    }
    panel += 3 * pairBytes;
    y += 6 * rowBytes;
    groupSums += 6 * tokenBytes;
  }
  for (; t < n; t += 2) {
    const less0 = middle * load<i32>(groupSums), less1 = middle * load<i32>(groupSums + tokenBytes);
    let g = scales;
    for (let o: usize = 0; o < bytes; o += 64, g += pitch) {
      multiply(codes + o, panel, steps, 0, false, true, y + o, rowBytes, g, less0, less1);
    }
    panel += pairBytes;
    y += 2 * rowBytes;
    groupSums += 2 * tokenBytes;
  }
}

/**
 * y[n][paddedRows] of n tokens (even: a padding token is computed and ignored). panel: per pair of tokens, as
 * prepare_pairs or prepare_wide_pairs leaves it. sums, fsums: [n][groups], of prepare_sums. factors: [n]. scratch:
 * BLOCK_BYTES for the unpacked tile, then n x 256 bytes of int32 sums. kind, extra: kinds.ts.
 */
// @ts-ignore: decorator
@inline
function gemm(
  w: usize, scales: usize, panel: usize, sums: usize, factors: usize, y: usize, scratch: usize,
  rowBegin: i32, rowEnd: i32, paddedRows: i32, byteCols: i32, groupByteCols: i32, n: i32,
  offsets: usize, fsums: usize, kind: i32, extra: usize, exact32: bool, wide: bool, bytes8: bool = false,
): void {
  const ones = hidden(i16x8.splat(1), byteCols), narrow = ASC_FEATURE_RELAXED_SIMD && !exact32 && !wide;
  const perUnit = wide ? 4 : unitSteps(), blockUnits = BLOCK_STEPS / perUnit;
  const pairBytes = <usize>byteCols * <usize>perUnit * 8, rowBytes = <usize>paddedRows << 2;
  const groups = (byteCols + groupByteCols - 1) / groupByteCols, tokenBytes = <usize>groups << 2;
  const totals = scratch + BLOCK_BYTES, flushDepth = depth(kind, extra);
  let middle = centre(kind, extra), sign = 0, parts = 1;
  if (ASC_FEATURE_RELAXED_SIMD) {
    if (bytes8) sign = dot_sign(byteCols >>> 31), middle = sign < 0 ? 0 : 128, parts = sign == 0 ? 3 : 1;
  }
  const rowScales = kind == TRELLIS_HALVES; // groups that only keep sums within 32 bits share the scale of the row
  const shared = kind == COMPANDED; // companded vectors: all rows share scales, stored for one tile
  const ofTiles = kind == SIGNS || kind == E8P || kind == E81B; // scales as lib/layout.ts has them
  // Bytes from the scales of a strip to those of the next one.
  const pitch: usize = ofTiles || shared || rowScales ? STRIP_BYTES : <usize>groups * STRIP_BYTES;
  // Six tokens at a time where a dot product with 32-bit sums is AVX-VNNI's.
  let six = false;
  if (ASC_FEATURE_RELAXED_SIMD && exact32 && !wide) six = n >= 6 && dot_sign(byteCols >>> 31) > 0;
  // 32-bit sums of a group that is one block go to y as they are, unless something is to be done to them. (With 16-bit lanes and int16
  // that was within 3 % of summing them in memory first.)
  let direct = false;
  if (ASC_FEATURE_RELAXED_SIMD && exact32 && !wide) {
    direct = groupByteCols * perUnit <= BLOCK_STEPS && !shared && !rowScales && parts == 1;
  }
  for (let row = rowBegin; row < rowEnd; row += TILE_ROWS) {
    const height = tileHeight(row, paddedRows), bytes = <usize>height << 2;
    const out = y + (<usize>row << 2);
    for (let t = 0; t < n; t++) memory.fill(out + <usize>t * rowBytes, 0, bytes);
    let s = shared ? scales : scales + groupStart(row, rowScales ? 1 : groups), groupSums = sums;
    for (let group = 0; group < byteCols; group += groupByteCols) {
      const groupEnd = min(group + groupByteCols, byteCols);
      if (ASC_FEATURE_RELAXED_SIMD && exact32 && !wide) {
        if (direct) {
          const units = groupEnd - group, x = panel + <usize>(group * perUnit) * 8;
          if (bytes8) unpackWhole(stripAt(w, row, byteCols, group, 8), byteCols, height, units, scratch, sign, 0);
          else unpack(w, row, height, byteCols, group, units, scratch, kind, extra, group / groupByteCols);
          multiplyGroup(
            scratch, bytes, x, pairBytes, n, units * perUnit, six, out, rowBytes, s, pitch, groupSums, tokenBytes, middle,
          );
          s += ofTiles ? bytes : STRIP_BYTES;
          groupSums += 4;
          continue;
        }
      }
      memory.fill(totals, 0, <usize>n << 8);
      for (let block = group; block < groupEnd; block += blockUnits) {
        const units = min(blockUnits, groupEnd - block), steps = units * perUnit;
        const x = panel + <usize>(block * perUnit) * 8;
        for (let part = 0; part < parts; part++) {
          if (bytes8) unpackWhole(stripAt(w, row, byteCols, block, 8), byteCols, height, units, scratch, sign, part);
          else if (wide) unpackWide(w, row, height, byteCols, block, units, scratch, kind, extra, 0);
          else unpack(w, row, height, byteCols, block, units, scratch, kind, extra, group / groupByteCols);
          let t = 0;
          if (ASC_FEATURE_RELAXED_SIMD && exact32 && !wide) {
            if (six) for (; t + 6 <= n; t += 6) {
              const from = x + <usize>(t >> 1) * pairBytes, to = totals + (<usize>t << 8);
              for (let o: usize = 0; o < bytes; o += 32) {
                multiplySix(scratch + o, from, pairBytes, steps, to + o, 512, false, 0, 0, 0, 0, 0, 0);
              }
            }
          }
          multiplyPairs(
            scratch, bytes, x + <usize>(t >> 1) * pairBytes, pairBytes, (n - t) >> 1, steps, totals + (<usize>t << 8), 512,
            flushDepth, ones, narrow, wide,
          );
        }
      }
      for (let t = 0; t < n; t++) {
        const sum = i32x4.splat(middle * load<i32>(groupSums + <usize>t * tokenBytes));
        const from = totals + (<usize>t << 8), to = out + <usize>t * rowBytes;
        if (shared) {
          // Weights are twice the code less an odd centre.
          for (let o: usize = 0; o < bytes; o += 16) {
            addExact(i32x4.sub(i32x4.shl(v128.load(from + o), 1), sum), s + o, to + o);
          }
        } else {
          for (let o: usize = 0, g = s; o < bytes; o += 64, g += pitch) {
            addExact(i32x4.sub(v128.load(from + o), sum), g, to + o);
            addExact(i32x4.sub(v128.load(from + o, 16), sum), g + 16, to + o + 16);
            addExact(i32x4.sub(v128.load(from + o, 32), sum), g + 32, to + o + 32);
            addExact(i32x4.sub(v128.load(from + o, 48), sum), g + 48, to + o + 48);
          }
        }
      }
      if (!rowScales) s += shared ? 4 * TILE_ROWS : ofTiles ? bytes : STRIP_BYTES;
      groupSums += 4;
    }
    for (let t = 0; t < n; t++) {
      const to = out + <usize>t * rowBytes, f = load<f32>(factors + (<usize>t << 2));
      finishRows(to, height, row, 1, f, offsets, fsums + <usize>t * tokenBytes, groups);
    }
  }
}

/** Codes that fit a byte: kinds of bytes. panel: prepare_pairs. */
export function gemm_int8_16x2(
  w: usize, scales: usize, panel: usize, sums: usize, factors: usize, y: usize, scratch: usize,
  rowBegin: i32, rowEnd: i32, paddedRows: i32, byteCols: i32, groupByteCols: i32, n: i32,
  offsets: usize, fsums: usize, kind: i32, extra: usize,
): void {
  gemm(
    w, scales, panel, sums, factors, y, scratch, rowBegin, rowEnd, paddedRows, byteCols, groupByteCols, n,
    offsets, fsums, kind, extra, false, false,
  );
}

/** Its twin for the relaxed binary, with sums in 32-bit lanes: without a relaxed dot product it would be the same. */
export function gemm_int8_16x2_i32(
  w: usize, scales: usize, panel: usize, sums: usize, factors: usize, y: usize, scratch: usize,
  rowBegin: i32, rowEnd: i32, paddedRows: i32, byteCols: i32, groupByteCols: i32, n: i32,
  offsets: usize, fsums: usize, kind: i32, extra: usize,
): void {
  gemm(
    w, scales, panel, sums, factors, y, scratch, rowBegin, rowEnd, paddedRows, byteCols, groupByteCols, n,
    offsets, fsums, kind, extra, true, false,
  );
}

/**
 * 8-bit uniform weights as a byte each, as in whole.ts; for the relaxed binary only. panel: prepare_pairs. sums: of all
 * columns.
 */
export function gemm_bytes_16x2(
  w: usize, scales: usize, panel: usize, sums: usize, factors: usize, y: usize, scratch: usize,
  rowBegin: i32, rowEnd: i32, paddedRows: i32, byteCols: i32, groupByteCols: i32, n: i32,
  offsets: usize, fsums: usize, kind: i32, extra: usize,
): void {
  gemm(
    w, scales, panel, sums, factors, y, scratch, rowBegin, rowEnd, paddedRows, byteCols, groupByteCols, n,
    offsets, fsums, kind, extra, true, false, true,
  );
}

/** Codes that need int16; kinds of int16. panel: prepare_wide_pairs. */
export function gemm_wide_16x2(
  w: usize, scales: usize, panel: usize, sums: usize, factors: usize, y: usize, scratch: usize,
  rowBegin: i32, rowEnd: i32, paddedRows: i32, byteCols: i32, groupByteCols: i32, n: i32,
  offsets: usize, fsums: usize, kind: i32, extra: usize,
): void {
  gemm(
    w, scales, panel, sums, factors, y, scratch, rowBegin, rowEnd, paddedRows, byteCols, groupByteCols, n,
    offsets, fsums, kind, extra, true, true,
  );
}
