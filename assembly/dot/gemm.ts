// gemm by integer dot products: a tile of weights is unpacked once to codes and then meets every token.
// Layout, algebra and bounds: README.md in this folder.
import { TILE_ROWS, tileHeight } from "../lib/layout";
import { accumulate, hidden, hiddenSplat8, highNibble, lookup, zipHigh16, zipLow16 } from "../lib/simd";
import { quantize8, ROUND_F64 } from "../lut/prepare";

// One step takes 4 bytes of activations: 4 int8 columns where there is a byte dot product, 2 int16 columns without.
// @ts-ignore: decorator
@inline
function stepsPerByteCol(): i32 {
  return ASC_FEATURE_RELAXED_SIMD ? 2 : 4;
}

// Steps of one unpacked block: 64 rows x 64 steps x 4 bytes = 16 KB, half of a level-1 cache. It is also the bound of
// the 16-bit sums: a lane takes two columns a step, codes <= 2, |x| <= 127: 64·2·2·127 = 32512 <= 32767.
const BLOCK_STEPS: i32 = 64;
const STEP_BYTES: usize = 256; // 64 rows x 4 bytes
const BLOCK_BYTES: usize = 16384;

/**
 * Activations of two tokens, quantised (x·r, half to even) and interleaved step by step: 4 bytes of the first token, 4
 * of the second. sums[group] and sums[groups + group] get Σ q of each token. A missing second token is x1 = x0, r1 = 0.
 */
export function prepare_panel(
  x0: usize, x1: usize, panel: usize, sums: usize, byteCols: i32, groupByteCols: i32, r0: f64, r1: f64,
): void {
  const rr0 = f64x2.splat(r0), rr1 = f64x2.splat(r1);
  const ones = hidden(i16x8.splat(1), byteCols), magic = hidden(f64x2.splat(ROUND_F64), byteCols);
  const groups: usize = (byteCols + groupByteCols - 1) / groupByteCols;
  for (let group = 0; group < byteCols; group += groupByteCols) {
    let s0 = i32x4.splat(0), s1 = s0;
    const groupEnd = min(group + groupByteCols, byteCols);
    for (let c = group; c < groupEnd; c++) {
      const q0 = quantize8(x0, rr0, magic), q1 = quantize8(x1, rr1, magic);
      s0 = i32x4.add(s0, i32x4.dot_i16x8_s(q0, ones));
      s1 = i32x4.add(s1, i32x4.dot_i16x8_s(q1, ones));
      if (ASC_FEATURE_RELAXED_SIMD) {
        const q = i8x16.narrow_i16x8_s(q0, q1);
        v128.store(panel, v128.shuffle<i32>(q, q, 0, 2, 1, 3));
        panel += 16;
      } else {
        v128.store(panel, v128.shuffle<i32>(q0, q1, 0, 4, 1, 5));
        v128.store(panel, v128.shuffle<i32>(q0, q1, 2, 6, 3, 7), 16);
        panel += 32;
      }
      x0 += 32;
      x1 += 32;
    }
    store<i32>(sums, sumLanes(s0));
    store<i32>(sums + (groups << 2), sumLanes(s1));
    sums += 4;
  }
}

// @ts-ignore: decorator
@inline
function sumLanes(v: v128): i32 {
  return i32x4.extract_lane(v, 0) + i32x4.extract_lane(v, 1) + i32x4.extract_lane(v, 2) + i32x4.extract_lane(v, 3);
}

// Eight rows of four 2-bit codes, one row a 16-bit lane, to the codes of the next one (bytes) or two (int16) steps.
// @ts-ignore: decorator
@inline
function storeCodes(v: v128, out: usize, mask: v128): void {
  if (ASC_FEATURE_RELAXED_SIMD) {
    const a = v128.and(v128.or(v, i16x8.shl(v, 6)), mask);
    const b = v128.and(v128.or(i16x8.shr_u(v, 4), i16x8.shl(v, 2)), mask);
    v128.store(out, zipLow16(a, b));
    v128.store(out, zipHigh16(a, b), 16);
  } else {
    let a = v128.and(v, mask), b = v128.and(i16x8.shr_u(v, 2), mask);
    v128.store(out, zipLow16(a, b));
    v128.store(out, zipHigh16(a, b), 16);
    a = v128.and(i16x8.shr_u(v, 4), mask);
    b = i16x8.shr_u(v, 6);
    v128.store(out, zipLow16(a, b), 256);
    v128.store(out, zipHigh16(a, b), 272);
  }
}

// n byte columns of one tile to codes w + 1: [step][64 rows][4 bytes] at out. Spreading a nibble puts its bit j in bits
// 2j and 2j + 1 of a byte: as 2·bit for one plane, as bit, to be added to that of the other plane, for two.
// @ts-ignore: decorator
@inline
function unpack(w: usize, height: i32, n: i32, out: usize, mask: v128, planes: i32): void {
  const spread = hidden(
    planes == 1
      ? i8x16(0x00, 0x02, 0x08, 0x0a, 0x20, 0x22, 0x28, 0x2a, -0x80, -0x7e, -0x78, -0x76, -0x60, -0x5e, -0x58, -0x56)
      : i8x16(0x00, 0x01, 0x04, 0x05, 0x10, 0x11, 0x14, 0x15, 0x40, 0x41, 0x44, 0x45, 0x50, 0x51, 0x54, 0x55),
    n,
  );
  const fields = hidden(ASC_FEATURE_RELAXED_SIMD ? i16x8.splat(0x0303) : i16x8.splat(3), n);
  const nibbleBytes = STEP_BYTES * <usize>(stepsPerByteCol() >> 1);
  for (let c = 0; c < n; c++) {
    let o = out;
    const end = out + (<usize>height << 2);
    while (o < end) {
      const v = v128.load(w), low = lookup(spread, v128.and(v, mask)), high = lookup(spread, highNibble(v, mask));
      if (planes == 1) {
        storeCodes(i16x8.extend_low_i8x16_u(low), o, fields);
        storeCodes(i16x8.extend_high_i8x16_u(low), o + 32, fields);
        storeCodes(i16x8.extend_low_i8x16_u(high), o + nibbleBytes, fields);
        storeCodes(i16x8.extend_high_i8x16_u(high), o + nibbleBytes + 32, fields);
        o += 64;
      } else {
        storeCodes(i16x8.extadd_pairwise_i8x16_u(low), o, fields);
        storeCodes(i16x8.extadd_pairwise_i8x16_u(high), o + nibbleBytes, fields);
        o += 32;
      }
      w += 16;
    }
    out += nibbleBytes << 1;
  }
}

// One step of one accumulator. `exact32`: the relaxed dot product that adds into 32-bit lanes (one instruction with
// VNNI or the ARM dot product, five without); otherwise the one that gives 16-bit lanes (one instruction on any x86).
// @ts-ignore: decorator
@inline
function step(sum: v128, x: v128, codes: v128, exact32: bool): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) {
    if (exact32) return i32x4.relaxed_dot_i8x16_i7x16_add_s(x, codes, sum);
    return i16x8.add(sum, i16x8.relaxed_dot_i8x16_i7x16_s(x, codes));
  }
  return i32x4.add(sum, i32x4.dot_i16x8_s(x, codes));
}

// @ts-ignore: decorator
@inline
function flush(p: usize, sum: v128, ones: v128, exact32: bool): void {
  let v = sum;
  if (ASC_FEATURE_RELAXED_SIMD) {
    if (!exact32) v = i32x4.dot_i16x8_s(sum, ones);
  }
  v128.store(p, i32x4.add(v128.load(p), v));
}

// sums[2 tokens][16 rows] += codes x activations over `steps` steps.
// @ts-ignore: decorator
@inline
function multiply16x2(codes: usize, panel: usize, steps: i32, sums: usize, ones: v128, exact32: bool): void {
  const zero = i32x4.splat(0);
  let a0 = zero, a1 = zero, a2 = zero, a3 = zero, b0 = zero, b1 = zero, b2 = zero, b3 = zero;
  const end = panel + (<usize>steps << 3);
  do {
    const w0 = v128.load(codes), w1 = v128.load(codes, 16), w2 = v128.load(codes, 32), w3 = v128.load(codes, 48);
    let x = v128.load32_splat(panel);
    a0 = step(a0, x, w0, exact32);
    a1 = step(a1, x, w1, exact32);
    a2 = step(a2, x, w2, exact32);
    a3 = step(a3, x, w3, exact32);
    x = v128.load32_splat(panel, 4);
    b0 = step(b0, x, w0, exact32);
    b1 = step(b1, x, w1, exact32);
    b2 = step(b2, x, w2, exact32);
    b3 = step(b3, x, w3, exact32);
    codes += STEP_BYTES;
    panel += 8;
  } while (panel < end);
  flush(sums, a0, ones, exact32);
  flush(sums + 16, a1, ones, exact32);
  flush(sums + 32, a2, ones, exact32);
  flush(sums + 48, a3, ones, exact32);
  flush(sums + 256, b0, ones, exact32);
  flush(sums + 272, b1, ones, exact32);
  flush(sums + 288, b2, ones, exact32);
  flush(sums + 304, b3, ones, exact32);
}

/**
 * y[n][paddedRows] of n tokens (even: a padding token is computed and ignored). panel: per pair of tokens, as
 * prepare_panel leaves it. sums: per token, Σ q per group. factors: per token, its activation scale. scratch:
 * BLOCK_BYTES for the unpacked tile, then n x 256 bytes of int32 sums.
 */
// @ts-ignore: decorator
@inline
function gemm(
  w: usize, scales: usize, panel: usize, sums: usize, factors: usize, y: usize, scratch: usize,
  rowBegin: i32, rowEnd: i32, paddedRows: i32, byteCols: i32, groupByteCols: i32, n: i32, planes: i32, exact32: bool,
): void {
  const mask = hiddenSplat8(15, byteCols), ones = hidden(i16x8.splat(1), byteCols);
  const perCol = stepsPerByteCol(), blockCols = BLOCK_STEPS / perCol;
  const pairBytes = <usize>byteCols * <usize>perCol * 8, rowBytes = <usize>paddedRows << 2;
  const groups: usize = (byteCols + groupByteCols - 1) / groupByteCols;
  const totals = scratch + BLOCK_BYTES;
  for (let row = rowBegin; row < rowEnd; row += TILE_ROWS) {
    const height = tileHeight(row, paddedRows), colBytes = <usize>(height * planes);
    const tile = w + <usize>row * <usize>(byteCols * planes), out = y + (<usize>row << 2);
    for (let t = 0; t < n; t++) memory.fill(out + <usize>t * rowBytes, 0, <usize>height << 2);
    let s = scales + (<usize>row << 2), groupSums = sums;
    for (let group = 0; group < byteCols; group += groupByteCols) {
      const groupEnd = min(group + groupByteCols, byteCols);
      memory.fill(totals, 0, <usize>n << 8);
      for (let block = group; block < groupEnd; block += blockCols) {
        const cols = min(blockCols, groupEnd - block);
        unpack(tile + <usize>block * colBytes, height, cols, scratch, mask, planes);
        let x = panel + <usize>(block * perCol) * 8;
        for (let t = 0; t < n; t += 2) {
          for (let i = 0; i < height; i += 16) {
            const o = <usize>i << 2;
            multiply16x2(scratch + o, x, cols * perCol, totals + (<usize>t << 8) + o, ones, exact32);
          }
          x += pairBytes;
        }
      }
      // Σ w·x = Σ (w + 1)·x - Σ x
      for (let t = 0; t < n; t++) {
        const sum = v128.load32_splat(groupSums + ((<usize>t * groups) << 2));
        const from = totals + (<usize>t << 8), to = out + <usize>t * rowBytes;
        for (let o: usize = 0; o < <usize>height << 2; o += 16) {
          const exact = i32x4.sub(v128.load(from + o), sum);
          accumulate(to + o, f32x4.mul(f32x4.convert_i32x4_s(exact), v128.load(s + o)));
        }
      }
      s += rowBytes;
      groupSums += 4;
    }
    for (let t = 0; t < n; t++) {
      const to = out + <usize>t * rowBytes, f = v128.load32_splat(factors + (<usize>t << 2));
      for (let o: usize = 0; o < <usize>height << 2; o += 16) v128.store(to + o, f32x4.mul(v128.load(to + o), f));
    }
  }
}

export function gemm_binary_int8_16x2(
  w: usize, scales: usize, panel: usize, sums: usize, factors: usize, y: usize, scratch: usize,
  rowBegin: i32, rowEnd: i32, paddedRows: i32, byteCols: i32, groupByteCols: i32, n: i32,
): void {
  gemm(
    w, scales, panel, sums, factors, y, scratch,
    rowBegin, rowEnd, paddedRows, byteCols, groupByteCols, n, 1, false,
  );
}

export function gemm_ternary_int8_16x2(
  w: usize, scales: usize, panel: usize, sums: usize, factors: usize, y: usize, scratch: usize,
  rowBegin: i32, rowEnd: i32, paddedRows: i32, byteCols: i32, groupByteCols: i32, n: i32,
): void {
  gemm(
    w, scales, panel, sums, factors, y, scratch,
    rowBegin, rowEnd, paddedRows, byteCols, groupByteCols, n, 2, false,
  );
}

// The two below are for the relaxed binary only: without a relaxed dot product they would be the two above.
export function gemm_binary_int8_16x2_i32(
  w: usize, scales: usize, panel: usize, sums: usize, factors: usize, y: usize, scratch: usize,
  rowBegin: i32, rowEnd: i32, paddedRows: i32, byteCols: i32, groupByteCols: i32, n: i32,
): void {
  gemm(
    w, scales, panel, sums, factors, y, scratch,
    rowBegin, rowEnd, paddedRows, byteCols, groupByteCols, n, 1, true,
  );
}

export function gemm_ternary_int8_16x2_i32(
  w: usize, scales: usize, panel: usize, sums: usize, factors: usize, y: usize, scratch: usize,
  rowBegin: i32, rowEnd: i32, paddedRows: i32, byteCols: i32, groupByteCols: i32, n: i32,
): void {
  gemm(
    w, scales, panel, sums, factors, y, scratch,
    rowBegin, rowEnd, paddedRows, byteCols, groupByteCols, n, 2, true,
  );
}
