// gemv of PVQ codes: four leaves of 4 columns are looked up and meet int8 activations in a dot product; exact. Layout,
// algebra and bounds: README.md in this folder.
import { finishRows } from "../lib/finish";
import { STRIP_BYTES, stripStart } from "../lib/layout";
import { hidden } from "../lib/simd";
import { addExact } from "../lut/tile";
import {
  fourHigh, halfLow, highHalf, lowHalf, originOf, places, placesOf, pulsesOf, recordOf,
} from "./decode";

/** Bytes of working space a row, behind twice y: sums of four rows before their lanes are added. */
const WORK_BYTES: usize = 16;

// The 16 columns whose leaves are at the addresses a, y + pulses in each byte.
// @ts-ignore: decorator
@inline
function fetch(a: v128): v128 {
  const low = lowHalf(a), high = highHalf(a);
  let v = v128.load32_zero(<u32>low);
  v = v128.load32_lane(<u32>(low >> 32), v, 1);
  v = v128.load32_lane(<u32>high, v, 2);
  return v128.load32_lane(<u32>(high >> 32), v, 3);
}

// One code of 16 columns; codes: that code in each lane.
// @ts-ignore: decorator
@inline
function one(code: u32, codes: v128, tables: usize, origin: v128, four: v128, half: v128): v128 {
  return fetch(i32x4.add(placesOf(codes, recordOf(tables, code), four, half), origin));
}

// Two codes of 8 columns.
// @ts-ignore: decorator
@inline
function two(w: usize, u: usize, tables: usize, origin: v128, four: v128, half: v128): v128 {
  const r = recordOf(tables, load<u32>(w)), s = recordOf(tables, load<u32>(u));
  const codes = v128.load32_lane(u, v128.load32_zero(w), 1);
  const multipliers = v128.load64_lane(s, v128.load64_zero(r), 1);
  const factors = v128.load64_lane(s + 16, v128.load64_zero(r, 16), 1);
  const a = places(v128.shuffle<i32>(codes, codes, 0, 0, 1, 1), multipliers, factors, four, half);
  return fetch(i32x4.add(a, origin));
}

// 16-bit sums of neighbours: |Σ| <= 2·127·28 = 7112. Without a byte dot product nothing calls it, but it has to compile.
// @ts-ignore: decorator
@inline
function pairs(v: v128, x: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i16x8.relaxed_dot_i8x16_i7x16_s(x, v);
  return v;
}

// acc[4] += bytes v · activations. int16 activations: even columns, then odd ones.
// @ts-ignore: decorator
@inline
function add(acc: v128, v: v128, x: v128, odd: v128, ones: v128, low: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i32x4.add(acc, i32x4.dot_i16x8_s(pairs(v, x), ones));
  acc = i32x4.add(acc, i32x4.dot_i16x8_s(v128.and(v, low), x));
  return i32x4.add(acc, i32x4.dot_i16x8_s(i16x8.shr_u(v, 8), odd));
}

// The same of 16 columns at x, as prepare_quads left them.
// @ts-ignore: decorator
@inline
function add16(acc: v128, v: v128, x: usize, ones: v128, low: v128): v128 {
  const a = v128.load(x);
  if (ASC_FEATURE_RELAXED_SIMD) return add(acc, v, a, a, ones, low);
  const b = v128.load(x, 16);
  return add(acc, v, v128.shuffle<i32>(a, b, 0, 2, 4, 6), v128.shuffle<i32>(a, b, 1, 3, 5, 7), ones, low);
}

// @ts-ignore: decorator
@inline
function unitBytes(): usize {
  return ASC_FEATURE_RELAXED_SIMD ? 8 : 16;
}

// Σ (y + pulses)·x of a group of one row, in four lanes.
// @ts-ignore: decorator
@inline
function row16(
  w: usize, x: usize, end: usize, tables: usize, origin: v128, four: v128, half: v128, ones: v128, low: v128,
): v128 {
  const unit = unitBytes();
  let acc = i32x4.splat(0);
  // Four codes: 4·7112 = 28448 <= 32767 in 16-bit lanes.
  for (const last = end - 6 * unit; x < last; x += 8 * unit) {
    const c = v128.load(w);
    const v0 = one(load<u32>(w), v128.shuffle<i32>(c, c, 0, 0, 0, 0), tables, origin, four, half);
    const v1 = one(load<u32>(w, 4), v128.shuffle<i32>(c, c, 1, 1, 1, 1), tables, origin, four, half);
    const v2 = one(load<u32>(w, 8), v128.shuffle<i32>(c, c, 2, 2, 2, 2), tables, origin, four, half);
    const v3 = one(load<u32>(w, 12), v128.shuffle<i32>(c, c, 3, 3, 3, 3), tables, origin, four, half);
    if (ASC_FEATURE_RELAXED_SIMD) {
      let sum = i16x8.add(pairs(v0, v128.load(x)), pairs(v1, v128.load(x, 16)));
      sum = i16x8.add(i16x8.add(sum, pairs(v2, v128.load(x, 32))), pairs(v3, v128.load(x, 48)));
      acc = i32x4.add(acc, i32x4.dot_i16x8_s(sum, ones));
    } else {
      acc = add16(acc, v0, x, ones, low);
      acc = add16(acc, v1, x + 32, ones, low);
      acc = add16(acc, v2, x + 64, ones, low);
      acc = add16(acc, v3, x + 96, ones, low);
    }
    w += 16;
  }
  for (; x < end; x += 2 * unit) {
    acc = add16(acc, one(load<u32>(w), v128.load32_splat(w), tables, origin, four, half), x, ones, low);
    w += 4;
  }
  return acc;
}

// The same of two rows of codes of 8 columns, at w and u, in two lanes each.
// @ts-ignore: decorator
@inline
function rows8(
  w: usize, u: usize, x: usize, end: usize, tables: usize, origin: v128, four: v128, half: v128, ones: v128, low: v128,
): v128 {
  let acc = i32x4.splat(0);
  for (; x < end; x += unitBytes()) {
    const v = two(w, u, tables, origin, four, half);
    if (ASC_FEATURE_RELAXED_SIMD) {
      const a = v128.load64_splat(x);
      acc = add(acc, v, a, a, ones, low);
    } else {
      const a = v128.load(x);
      acc = add(acc, v, v128.shuffle<i32>(a, a, 0, 2, 0, 2), v128.shuffle<i32>(a, a, 1, 3, 1, 3), ones, low);
    }
    w += 4;
    u += 4;
  }
  return acc;
}

// a0+a1, a2+a3, b0+b1, b2+b3
// @ts-ignore: decorator
@inline
function addLanes(a: v128, b: v128): v128 {
  return i32x4.add(v128.shuffle<i32>(a, b, 0, 2, 4, 6), v128.shuffle<i32>(a, b, 1, 3, 5, 7));
}

// @ts-ignore: decorator
@inline
function gemv(
  w: usize, scales: usize, panel: usize, totals: usize, y: usize,
  rowBegin: i32, rowEnd: i32, paddedRows: i32, byteCols: i32, groupByteCols: i32, factor: f32,
  offsets: usize, sums: usize, tables: usize, size: i32,
): void {
  const groups = (byteCols + groupByteCols - 1) / groupByteCols;
  // A code is 32 bits: 2 or 4 bytes a unit.
  const shift: usize = size == 16 ? 1 : 2, rowBytes = <usize>byteCols << shift;
  const pulses = pulsesOf(tables), origin = i32x4.splat(<i32>originOf(tables));
  const four = fourHigh(byteCols), half = halfLow(byteCols);
  const ones = hidden(i16x8.splat(1), byteCols), low = hidden(i16x8.splat(255), byteCols);
  const rows = <usize>paddedRows << 2;
  for (let row = rowBegin; row < rowEnd; row += 4) {
    const out = y + (<usize>row << 2);
    const work = y + 2 * rows + <usize>row * WORK_BYTES;
    let p = w + <usize>row * rowBytes, s = scales + stripStart(row, groups), x = panel, total = totals;
    v128.store(out, i32x4.splat(0));
    for (let group = 0; group < byteCols; group += groupByteCols) {
      const units = <usize>min(groupByteCols, byteCols - group), end = x + units * unitBytes();
      let q = p;
      for (let to = work; to < work + 64; to += size == 16 ? 16 : 32) {
        if (size == 16) v128.store(to, row16(q, x, end, tables, origin, four, half, ones, low));
        else v128.store(to, rows8(q, q + rowBytes, x, end, tables, origin, four, half, ones, low));
        q += size == 16 ? rowBytes : 2 * rowBytes;
      }
      const sum = size == 8 ? addLanes(v128.load(work), v128.load(work, 32)) : addLanes(
        addLanes(v128.load(work), v128.load(work, 16)), addLanes(v128.load(work, 32), v128.load(work, 48)),
      );
      addExact(i32x4.sub(sum, i32x4.splat(pulses * load<i32>(total))), s, out);
      p += units << shift;
      x = end;
      s += STRIP_BYTES;
      total += 4;
    }
  }
  for (let row = rowBegin; row < rowEnd; row += 16) {
    finishRows(y + (<usize>row << 2), 16, row, 1, factor, offsets, sums, groups);
  }
}

export function gemv_pvq16_int8_4x16(
  w: usize, scales: usize, panel: usize, totals: usize, y: usize,
  rowBegin: i32, rowEnd: i32, paddedRows: i32, byteCols: i32, groupByteCols: i32, factor: f32,
  offsets: usize, sums: usize, tables: usize,
): void {
  gemv(
    w, scales, panel, totals, y, rowBegin, rowEnd, paddedRows, byteCols, groupByteCols, factor,
    offsets, sums, tables, 16,
  );
}

export function gemv_pvq8_int8_4x8(
  w: usize, scales: usize, panel: usize, totals: usize, y: usize,
  rowBegin: i32, rowEnd: i32, paddedRows: i32, byteCols: i32, groupByteCols: i32, factor: f32,
  offsets: usize, sums: usize, tables: usize,
): void {
  gemv(
    w, scales, panel, totals, y, rowBegin, rowEnd, paddedRows, byteCols, groupByteCols, factor,
    offsets, sums, tables, 8,
  );
}
