// Scores and sums of keys and values that are codes: a strip's panel, then dots. One function a number of bits, a way to multiply
// (dots.ts), and one query or two: types of so many bytes say which, since functions are made anew for types only.
import { capacityOf, codesOf, groupSize, groupsOf, padded, rangesOf } from "./cache";
import { lowest, unitOf } from "./code";
import { DOTS, dots, PAIRS, panelBytes, way, WIDE } from "./dots";
import { queryPanel, weightPanel } from "./panel";

// Bits: u16 2, u32 4, u64 8. How: u8 DOTS, u16 PAIRS, u32 WIDE. Queries: u8 one, u16 two.
// @ts-ignore: decorator
@inline
function howOf<How>(): i32 {
  return sizeof<How>() == 1 ? DOTS : sizeof<How>() == 2 ? PAIRS : WIDE;
}

// Scores of a strip, 32 positions.
function scoreStrip<Bits, How, Queries>(
  codes: usize, ranges: usize, q: usize, size: i32, scale: f32, work: usize, scores: usize, sStep: usize,
): void {
  const bits = <i32>sizeof<Bits>(), two = sizeof<Queries>() == 2, isWide = howOf<How>() == WIDE, width = padded(size);
  const words = width * bits >> 5, numbers = work, floats = work + 32, panels = floats + (<usize>width << 3);
  const pStep = panelBytes(width, howOf<How>());
  queryPanel(
    q, ranges, size, width, unitOf(bits), lowest(bits, false), scale, panels, pStep, floats, numbers, isWide, two,
  );
  for (const end = scores + 128; scores < end; scores += 64, codes += <usize>words << 6) {
    dots(codes, words, panels, pStep, scores, sStep, numbers, 12, bits, howOf<How>(), two, false, size);
  }
}

// @ts-ignore: decorator
@inline
function scoreAll<Bits, How>(
  side: usize, head: i32, size: i32, q: usize, count: i32, begin: i32, end: i32, scores: usize, sStep: usize, work: usize, scale: f32,
): void {
  const bits = <i32>sizeof<Bits>(), width = padded(size), qStep = <usize>size << 2;
  const strip = <usize>(head * capacityOf(side) + begin) * <usize>width, step = <usize>(width * bits) << 2;
  let codes = codesOf(side) + (strip * <usize>bits >> 3), ranges = rangesOf(side) + (strip >> 5 << 2);
  memory.fill(work + 32, 0, <usize>width << 3);
  for (let at = begin; at < end; at += 32, codes += step, ranges += <usize>width << 2) {
    let from = q, to = scores + (<usize>at << 2), i = 0;
    for (; i + 1 < count; i += 2, from += 2 * qStep, to += 2 * sStep) {
      scoreStrip<Bits, How, u16>(codes, ranges, from, size, scale, work, to, sStep);
    }
    if (i < count) scoreStrip<Bits, How, u8>(codes, ranges, from, size, scale, work, to, sStep);
  }
}

/** Bytes of working space that scores take. */
// @ts-ignore: decorator
@inline
export function scoreWork(size: i32): usize {
  return 32 + (<usize>padded(size) << 3) + (<usize>padded(size) << 2);
}

/**
 * scores[at] = scale · ⟨q, key at⟩ for positions begin to before end, multiples of 32, and `count` queries that follow each other;
 * their scores are `sStep` bytes apart. Bits: u16 2, u32 4, u64 8.
 */
export function scoreCodes<Bits>(
  side: usize, head: i32, size: i32, q: usize, count: i32, begin: i32, end: i32, scores: usize, sStep: usize, work: usize, scale: f32,
): void {
  if (ASC_FEATURE_RELAXED_SIMD) {
    if (way(size) == DOTS) scoreAll<Bits, u8>(side, head, size, q, count, begin, end, scores, sStep, work, scale);
    else scoreAll<Bits, u16>(side, head, size, q, count, begin, end, scores, sStep, work, scale);
  } else {
    scoreAll<Bits, u32>(side, head, size, q, count, begin, end, scores, sStep, work, scale);
  }
}

// total[16] += Σ weight · value of `strips` strips of a tile, whose codes and panels follow each other.
function mixTile<Bits, How, Queries>(
  codes: usize, strips: i32, panel: usize, pStep: usize, factor: usize, fStep: usize, total: usize, step: usize, size: i32,
): void {
  const bits = <i32>sizeof<Bits>(), two = sizeof<Queries>() == 2, turn = panelBytes(32, howOf<How>());
  for (const end = factor + (<usize>strips << 3); factor < end; factor += 8, panel += turn, codes += <usize>bits << 6) {
    dots(codes, bits, panel, pStep, total, step, factor, fStep, bits, howOf<How>(), two, true, size);
  }
}

// @ts-ignore: decorator
@inline
function mixAll<Bits, How>(
  side: usize, head: i32, size: i32, weights: usize, sStep: usize, count: i32, begin: i32, end: i32, out: usize, work: usize,
): void {
  const bits = <i32>sizeof<Bits>(), isWide = howOf<How>() == WIDE;
  const width = padded(size), tiles = width >> 4, capacity = capacityOf(side), strips = (end - begin) >> 5;
  const groups = groupsOf(bits, size), wide = groupSize(bits, size) >> 4;
  const pStep = panelBytes(strips << 5, howOf<How>()), fStep = <usize>strips << 3, tileBytes = <usize>(width << 2);
  const panels = work, factors = panels + <usize>count * pStep, step = <usize>capacity * <usize>bits << 1;
  const ranges = rangesOf(side) + (<usize>(head * groups * capacity + begin) << 2);
  for (let g = 0; g < groups; g++) {
    const last = min(tiles, (g + 1) * wide), from = ranges + (<usize>(g * capacity) << 2);
    let panel = panels, factor = factors, to = out, p = weights + (<usize>begin << 2), i = 0;
    for (; i < count; i++, p += sStep, panel += pStep, factor += fStep, to += tileBytes) {
      const unit = unitOf(bits), low = lowest(bits, true);
      const base = f32x4.splat(weightPanel(p, from, strips, unit, low, panel, factor, isWide));
      for (let c = g * wide << 4; c < last << 4; c += 4) v128.store(to + (<usize>c << 2), base);
    }
    for (let tile = g * wide; tile < last; tile++) {
      const codes = codesOf(side) + <usize>(head * tiles + tile) * step + (<usize>begin * <usize>bits << 1);
      panel = panels, factor = factors, to = out + (<usize>tile << 6), i = 0;
      for (; i + 1 < count; i += 2, panel += 2 * pStep, factor += 2 * fStep, to += 2 * tileBytes) {
        mixTile<Bits, How, u16>(codes, strips, panel, pStep, factor, fStep, to, tileBytes, size);
      }
      if (i < count) mixTile<Bits, How, u8>(codes, strips, panel, pStep, factor, fStep, to, tileBytes, size);
    }
  }
}

/** Bytes of working space that sums of `positions` positions and `count` queries take. */
// @ts-ignore: decorator
@inline
export function mixWork(count: i32, positions: i32): usize {
  return <usize>count * ((<usize>positions << 1) + (<usize>positions >> 2));
}

/**
 * out[query][padded size] = Σ weight · value over positions begin to before end, multiples of 32, for `count` queries whose weights
 * are `sStep` bytes apart. Weights are not negative. Bits: u16 2, u32 4, u64 8.
 */
export function mixCodes<Bits>(
  side: usize, head: i32, size: i32, weights: usize, sStep: usize, count: i32, begin: i32, end: i32, out: usize, work: usize,
): void {
  if (ASC_FEATURE_RELAXED_SIMD) {
    if (way(size) == DOTS) mixAll<Bits, u8>(side, head, size, weights, sStep, count, begin, end, out, work);
    else mixAll<Bits, u16>(side, head, size, weights, sStep, count, begin, end, out, work);
  } else {
    mixAll<Bits, u32>(side, head, size, weights, sStep, count, begin, end, out, work);
  }
}
