// Attention of grouped heads over a cache of keys and values, with the whole softmax in one piece. A position's key and value are
// float32, float16 or codes (cache.ts); scores and weights are float32 whatever they are.
import { exp4, expSum, tanh4 } from "../lib/elementary";
import {
  bitsOf, capacityOf, codedEnd, codesOf, floatsOf, heads, headSize, KEYS, padded, ringOf, sinkOf, slot, VALUES,
} from "./cache";
import { mixCodes, mixWork, scoreCodes, scoreWork } from "./coded";
import { mixStrip, scoreStrip } from "./strip";

/**
 * Softmax of scores from `first` to before `last`, in place, without the division: returns the sum of weights, in float64.
 * The strip's places before and after become 0. sink: address of one more score that takes its share, or 0. cap > 0: scores
 * are cap · tanh(score / cap) first. The array is whole strips of 16 from scores + (first & -32) on.
 */
// @ts-ignore: decorator
@inline
function softmax(scores: usize, first: i32, last: i32, sink: usize, cap: f32): f64 {
  const begin = scores + (<usize>(first & -32) << 2), end = scores + (<usize>((last + 15) & -16) << 2);
  for (let p = begin; p < scores + (<usize>first << 2); p += 4) store<f32>(p, -f32.MAX_VALUE);
  for (let p = scores + (<usize>last << 2); p < end; p += 4) store<f32>(p, -f32.MAX_VALUE);
  if (cap > 0) {
    const c = f32x4.splat(cap), r = f32x4.splat(1 / cap);
    for (let p = scores + (<usize>(first & -4) << 2); p < scores + (<usize>last << 2); p += 16) {
      v128.store(p, f32x4.mul(c, tanh4(f32x4.mul(v128.load(p), r))));
    }
    for (let p = begin; p < scores + (<usize>first << 2); p += 4) store<f32>(p, -f32.MAX_VALUE);
    for (let p = scores + (<usize>last << 2); p < end; p += 4) store<f32>(p, -f32.MAX_VALUE);
  }
  let most = f32x4.splat(-f32.MAX_VALUE), more = most;
  for (let p = begin; p < end; p += 32) most = f32x4.pmax(most, v128.load(p)), more = f32x4.pmax(more, v128.load(p, 16));
  most = f32x4.pmax(most, more);
  most = f32x4.pmax(most, v128.shuffle<i32>(most, most, 2, 3, 0, 1));
  most = f32x4.pmax(most, v128.shuffle<i32>(most, most, 1, 0, 3, 2));
  if (sink) most = f32x4.pmax(most, v128.load32_splat(sink));
  let total = expSum(begin, end, most, last);
  if (sink) total += <f64>f32x4.extract_lane(exp4(f32x4.sub(v128.load32_splat(sink), most)), 0);
  return total;
}

// Scores of positions begin to before end, whose numbers follow each other.
// @ts-ignore: decorator
@inline
function scoreRun(
  q: usize, count: i32, keys: usize, size: i32, begin: i32, end: i32, scores: usize, sStep: usize, scale: f32, bits: i32,
): void {
  const qStep = <usize>size << 2, step = <usize>(size * bits) << 1;
  for (let at = begin & -16; at < end; at += 16, keys += step) {
    let from = q, out = scores + (<usize>at << 2), i = 0;
    for (; i + 1 < count; i += 2, from += 2 * qStep, out += 2 * sStep) {
      scoreStrip(from, qStep, keys, size, out, sStep, scale, true, bits);
    }
    if (i < count) scoreStrip(from, qStep, keys, size, out, sStep, scale, false, bits);
  }
}

// The same of float32, whose places in the ring follow each other for 32 positions at a time.
function scoreFloats(
  side: usize, head: i32, size: i32, q: usize, count: i32, begin: i32, end: i32, scores: usize, sStep: usize, scale: f32,
): void {
  const sink = sinkOf(side), ring = ringOf(side), all = bitsOf(side) == 32 ? sink : sink + ring;
  const keys = floatsOf(side) + (<usize>(head * all) * <usize>padded(size) << 2);
  while (begin < end) {
    const stop = begin < sink ? min(end, sink) : min(end, (begin & -32) + 32), start = begin & -16;
    const from = keys + (<usize>slot(start, sink, ring) * <usize>size << 2);
    scoreRun(q, count, from, size, start, stop, scores, sStep, scale, 32);
    begin = stop;
  }
}

function scoreHalves(
  side: usize, head: i32, size: i32, q: usize, count: i32, begin: i32, end: i32, scores: usize, sStep: usize, scale: f32,
): void {
  const start = begin & -16;
  const keys = codesOf(side) + (<usize>(head * capacityOf(side)) * <usize>padded(size) + <usize>start * <usize>size << 1);
  scoreRun(q, count, keys, size, start, end, scores, sStep, scale, 16);
}

/**
 * scores[at] = scale · ⟨q, key at⟩ for positions first to before last, of which the last is that of the token. Places up to
 * multiples of 32 before and of 16 after are written to.
 */
function score(
  side: usize, head: i32, size: i32, q: usize, count: i32, first: i32, last: i32, scores: usize, sStep: usize, work: usize, scale: f32,
): void {
  const bits = bitsOf(side), sink = sinkOf(side), end = codedEnd(side, last - 1);
  if (bits == 16) return scoreHalves(side, head, size, q, count, first, last, scores, sStep, scale);
  if (first < sink) scoreFloats(side, head, size, q, count, first, min(sink, last), scores, sStep, scale);
  const begin = max(first & -32, sink);
  if (begin < end) {
    if (bits == 8) scoreCodes<u64>(side, head, size, q, count, begin, end, scores, sStep, work, scale);
    else if (bits == 4) scoreCodes<u32>(side, head, size, q, count, begin, end, scores, sStep, work, scale);
    else scoreCodes<u16>(side, head, size, q, count, begin, end, scores, sStep, work, scale);
  }
  const rest = max(max(end, sink), first);
  if (rest < last) scoreFloats(side, head, size, q, count, rest, last, scores, sStep, scale);
}

// out[query][padded size] += Σ weight · value over positions that follow each other; `step` bytes from a tile to the next one.
// @ts-ignore: decorator
@inline
function mixRun(
  weights: usize, sStep: usize, count: i32, values: usize, step: usize, n: i32, width: i32, out: usize, sums: usize, bits: i32,
): void {
  const outStep = <usize>width << 2;
  for (let c: usize = 0; c < outStep; c += 64, values += step) {
    let w = weights, to = out + c;
    for (let i = 0; i < count; i += 2, w += 2 * sStep, to += 2 * outStep) {
      const two = i + 1 < count;
      memory.copy(sums, to, 64);
      if (two) memory.copy(sums + 64, to + outStep, 64);
      if (two) mixStrip(w, sStep, values, n, sums, true, bits);
      else mixStrip(w, sStep, values, n, sums, false, bits);
      memory.copy(to, sums, 64);
      if (two) memory.copy(to + outStep, sums + 64, 64);
    }
  }
}

function mixFloats(
  side: usize, head: i32, size: i32, weights: usize, sStep: usize, count: i32, begin: i32, end: i32, out: usize, work: usize,
): void {
  const sink = sinkOf(side), ring = ringOf(side), all = <usize>(bitsOf(side) == 32 ? sink : sink + ring), width = padded(size);
  const values = floatsOf(side) + (<usize>head * all * <usize>width << 2);
  while (begin < end) {
    const stop = begin < sink ? min(end, sink) : min(end, (begin & -32) + 32);
    const from = values + (<usize>slot(begin, sink, ring) << 6);
    mixRun(weights + (<usize>begin << 2), sStep, count, from, all << 6, stop - begin, width, out, work, 32);
    begin = stop;
  }
}

function mixHalves(
  side: usize, head: i32, size: i32, weights: usize, sStep: usize, count: i32, begin: i32, end: i32, out: usize, work: usize,
): void {
  const capacity = <usize>capacityOf(side), width = padded(size);
  const values = codesOf(side) + (<usize>head * capacity * <usize>width << 1) + (<usize>begin << 5);
  mixRun(weights + (<usize>begin << 2), sStep, count, values, capacity << 5, end - begin, width, out, work, 16);
}

/**
 * out[query][padded size] = Σ weight · value over positions first to before last, likewise. Weights of places up to a multiple of
 * 32 before are 0.
 */
function mix(
  side: usize, head: i32, size: i32, weights: usize, sStep: usize, count: i32, first: i32, last: i32, out: usize, work: usize,
): void {
  const bits = bitsOf(side), sink = sinkOf(side), end = codedEnd(side, last - 1), begin = max(first & -32, sink);
  memory.fill(out, 0, <usize>(count * padded(size)) << 2);
  if (bits == 16) return mixHalves(side, head, size, weights, sStep, count, first, last, out, work);
  if (begin < end) {
    if (bits == 8) mixCodes<u64>(side, head, size, weights, sStep, count, begin, end, out, work);
    else if (bits == 4) mixCodes<u32>(side, head, size, weights, sStep, count, begin, end, out, work);
    else mixCodes<u16>(side, head, size, weights, sStep, count, begin, end, out, work);
  }
  if (first < sink) mixFloats(side, head, size, weights, sStep, count, first, min(sink, last), out, work);
  const rest = max(max(end, sink), first);
  if (rest < last) mixFloats(side, head, size, weights, sStep, count, rest, last, out, work);
}

// y[size] = sums · factor
// @ts-ignore: decorator
@inline
function scaled(sums: usize, y: usize, size: i32, factor: f32): void {
  const f = f32x4.splat(factor);
  for (let i: usize = 0; i < <usize>size << 2; i += 16) v128.store(y + i, f32x4.mul(v128.load(sums + i), f));
}

// Bytes of a query's scores.
// @ts-ignore: decorator
@inline
function scoreBytes(last: i32): usize {
  return <usize>((last + 31) & -32) << 2;
}

/** Bytes of working space of a thread, for `group` queries of `size` numbers that see positions before `last`. */
export function model_attend_scratch(group: i32, size: i32, last: i32): i32 {
  const work = max(scoreWork(size), mixWork(group, last)) + (<usize>(group * padded(size)) << 2);
  return <i32>(<usize>group * scoreBytes(last) + work + 63 & ~<usize>63);
}

/**
 * Causal attention, y = softmax(scale · q kᵀ) v, of units begin / 64 to before end / 64: ranges of rows are whole tiles of 64, and
 * a unit counts as one. Unit u is KV head u % heads of token u / heads, with all its queries.
 *
 * @param q float32 [tokens][stride]: query heads one after the other, `group` a KV head
 * @param y float32 [tokens][heads · group · size]
 * @param scratch of the thread: model_attend_scratch(group, size, position + tokens) bytes
 * @param position of token 0, whose keys and values are there already, as those of all tokens
 * @param window most positions that a token sees, itself included; 0: all
 * @param sinks float32 [heads · group], or 0
 */
export function model_attend(
  q: usize, stride: i32, cache: usize, y: usize, scratch: usize, begin: i32, end: i32, group: i32, position: i32, window: i32,
  scale: f32, cap: f32, sinks: usize,
): void {
  const kvHeads = heads(cache), size = headSize(cache), sizeBytes = <usize>size << 2, width = <usize>padded(size) << 2;
  for (let unit = begin >> 6; unit < end >> 6; unit++) {
    const token = unit / kvHeads, head = unit - token * kvHeads;
    const last = position + token + 1, first = window > 0 ? max(0, last - window) : 0;
    const sStep = scoreBytes(last), sums = scratch + <usize>group * sStep, work = sums + <usize>group * width;
    const from = q + (<usize>token * <usize>stride << 2) + <usize>(head * group) * sizeBytes;
    const to = y + <usize>((token * kvHeads + head) * group) * sizeBytes;
    score(cache + KEYS, head, size, from, group, first, last, scratch, sStep, work, scale);
    for (let i = 0; i < group; i++) {
      const sink = sinks ? sinks + (<usize>(head * group + i) << 2) : 0;
      // Where weights of values need a sum, it waits in the place of the result.
      store<f32>(to + <usize>i * sizeBytes, <f32>(1 / softmax(scratch + <usize>i * sStep, first, last, sink, cap)));
    }
    mix(cache + VALUES, head, size, scratch, sStep, group, first, last, sums, work);
    for (let i = 0; i < group; i++) {
      const out = to + <usize>i * sizeBytes;
      scaled(sums + <usize>i * width, out, size, load<f32>(out));
    }
  }
}

/**
 * out[query][position] = scale · ⟨q, key⟩ of heads · group queries of the token at `last` - 1.
 *
 * @param q float32 [heads · group][size]
 * @param out float32, queries `outStep` apart, room for a multiple of 32 positions each
 * @param work model_attend_scratch(group, size, last) bytes
 */
export function model_scores(q: usize, cache: usize, out: usize, outStep: i32, work: usize, group: i32, last: i32, scale: f32): void {
  const size = headSize(cache), step = <usize>outStep << 2;
  for (let head = 0; head < heads(cache); head++) {
    const from = q + (<usize>(head * group * size) << 2), to = out + <usize>(head * group) * step;
    score(cache + KEYS, head, size, from, group, 0, last, to, step, work, scale);
  }
}

/**
 * y[query][size] = Σ weight · value over positions before `last`, of heads · group queries.
 *
 * @param p float32, not negative, queries `pStep` apart, room for a multiple of 32 positions each
 * @param work as of model_scores
 */
export function model_mix(p: usize, pStep: i32, cache: usize, y: usize, work: usize, group: i32, last: i32): void {
  const size = headSize(cache), step = <usize>pStep << 2, width = <usize>padded(size) << 2, sums = work;
  for (let head = 0; head < heads(cache); head++) {
    const from = p + <usize>(head * group) * step;
    mix(cache + VALUES, head, size, from, step, group, 0, last, sums, work + <usize>group * width);
    for (let i = 0; i < group; i++) scaled(sums + <usize>i * width, y + (<usize>((head * group + i) * size) << 2), size, 1);
  }
}
