// Keys and values of few bits: the contract bit for bit in both binaries, errors, what is kept and what is taken back.

import { init, type Lowbit } from "../../src/index.ts";
import { type KvKind, kv } from "../../src/llm/index.ts";
import { engineOf } from "../../src/runtime/engine.ts";
import { acceptsRelaxed } from "../../src/runtime/features.ts";
import { equalBits, is, nmse, nmseBelow, ok, throwsWith } from "../lib/assert.ts";
import { availableVariants } from "../lib/library.ts";
import { binaryOf, type Dot, MACHINES } from "../lib/machines.ts";
import { random } from "../lib/random.ts";
import { suite } from "../lib/suite.ts";
import { coded, mixOfStrips, scoresOfStrip } from "../reference/kv.ts";

const t = suite("kv");
const { instances, missing } = await availableVariants();
for (const { variant, reason } of missing) t.skip(variant, reason);
const [first] = instances as [(typeof instances)[number]];
const BITS: Readonly<Record<string, number>> = { int8: 8, int4: 4, int2: 2 };
const fround = Math.fround;

type Rows = number[][];

/** Rows of a head: numbers [tokens][kvHeads][size]. */
function headOf(numbers: Float32Array, kvHeads: number, size: number, head: number): Rows {
  return Array.from({ length: numbers.length / (kvHeads * size) }, (_, t) =>
    Array.from(numbers.subarray((t * kvHeads + head) * size, (t * kvHeads + head + 1) * size)),
  );
}

/** Where the codes of the last of so many tokens begin and end. */
function codedRange(tokens: number, window: number, sink: number): [number, number] {
  const end = Math.max(sink, Math.floor((tokens - 1) / window) * window);
  return [Math.min(sink, tokens), Math.min(end, tokens)];
}

function floatScore(q: readonly number[], key: readonly number[], scale: number): number {
  const sum = q.reduce((total, x, i) => fround(total + fround((key[i] as number) * x)), 0);
  return fround(sum * scale);
}

/** Scores by the contract of docs/numerics.md. */
function scoresOf(q: number[], keys: Rows, bits: number, scale: number, window: number, sink: number): number[] {
  const [begin, end] = codedRange(keys.length, window, sink);
  const out = keys.map((key) => floatScore(q, key, scale));
  for (let at = begin; at < end; at += 32) {
    for (const [i, score] of scoresOfStrip(q, keys.slice(at, at + 32), bits, scale).entries()) out[at + i] = score;
  }
  return out;
}

function mixOf(weights: number[], values: Rows, bits: number, window: number, sink: number): number[] {
  const [begin, end] = codedRange(values.length, window, sink);
  const size = (values[0] as number[]).length;
  let out = new Array<number>(size).fill(0);
  if (begin < end) out = mixOfStrips(weights.slice(begin, end), values.slice(begin, end), bits);
  for (const [t, value] of values.entries()) {
    if (t >= begin && t < end) continue;
    out = out.map((sum, i) => fround(sum + fround((value[i] as number) * (weights[t] as number))));
  }
  return out;
}

t("codes: scores and sums are those of the contract, bit for bit, in both binaries", () => {
  const rng = random("kv contract");
  const shapes = [
    { heads: 2, kvHeads: 2, headDim: 4, window: 32, sink: 0, counts: [1, 31, 32, 33, 64, 65] },
    { heads: 3, kvHeads: 1, headDim: 20, window: 32, sink: 32, counts: [32, 33, 65, 97] },
    { heads: 4, kvHeads: 2, headDim: 48, window: 64, sink: 32, counts: [64, 95, 129, 161] },
    { heads: 4, kvHeads: 1, headDim: 128, window: 32, sink: 0, counts: [96, 100, 129] },
    { heads: 1, kvHeads: 1, headDim: 144, window: 96, sink: 64, counts: [97, 200] },
  ] as const;
  for (const { heads, kvHeads, headDim: size, window, sink, counts } of shapes) {
    const most = Math.max(...counts);
    // Channels of other sizes and with offsets, a channel of one number, and one of zeros.
    const row = (x: Float32Array): Float32Array =>
      x.map((v, i) => {
        const c = i % size;
        return c === 1 ? 5 : c === 2 ? 0 : c % 7 === 3 ? 8 * v + 20 : v;
      });
    const k = row(rng.gaussians(most * kvHeads * size));
    const v = row(rng.gaussians(most * kvHeads * size));
    for (const kind of ["int8", "int4", "int2"] as const) {
      for (const { variant, lb } of instances) {
        const { used } = lb.memory;
        const scratch = engineOf("test", lb).scratchBytes;
        const cache = kv.create(lb, { heads, kvHeads, headDim: size, context: most, keys: kind, window, sink });
        let done = 0;
        for (const count of counts) {
          const [from, to] = [done * kvHeads * size, count * kvHeads * size];
          cache.append(k.subarray(from, to), v.subarray(from, to));
          done = count;
          const label = `${kind} ${variant} ${heads}/${kvHeads} x ${size}, ${count} tokens`;
          const q = rng.gaussians(heads * size);
          const p = rng.gaussians(heads * count).map(Math.abs);
          const [scores, sums] = [cache.scores(q), cache.mix(p)];
          for (let h = 0; h < heads; h++) {
            const head = Math.floor(h / (heads / kvHeads));
            const query = Array.from(q.subarray(h * size, (h + 1) * size));
            const keys = headOf(k.subarray(0, to), kvHeads, size, head);
            const expected = scoresOf(query, keys, BITS[kind] as number, fround(cache.scale), window, sink);
            equalBits(scores.subarray(h * count, (h + 1) * count), Float32Array.from(expected), `${label}, scores`);
            const weights = Array.from(p.subarray(h * count, (h + 1) * count));
            const values = headOf(v.subarray(0, to), kvHeads, size, head);
            const mixed = mixOf(weights, values, BITS[kind] as number, window, sink);
            equalBits(sums.subarray(h * size, (h + 1) * size), Float32Array.from(mixed), `${label}, sums`);
          }
        }
        cache.dispose();
        is(lb.memory.used - engineOf("test", lb).scratchBytes, used - scratch, kind);
      }
    }
  }
});

const KINDS = ["f32", "f16", "int8", "int4", "int2"] as const;

t("float16: numbers rounded to the nearest, beyond 65504 that, float32 as they are", () => {
  const size = 8;
  const hostile = [
    65504,
    65519,
    65520,
    1e30,
    -1e30,
    6.1e-5,
    6.1e-8,
    2.98e-8,
    2.9e-8,
    -3e-8,
    1 + 2 ** -11,
    1 + 3 * 2 ** -11,
  ];
  const half = [65504, 65504, 65504, 65504, -65504, 1023 * 2 ** -24, 2 ** -24, 0, 0, -(2 ** -24), 1, 1.001953125];
  for (const { variant, lb } of instances) {
    using cache = kv.create(lb, { heads: 1, headDim: size, context: 16, keys: "f16", scale: 1 });
    for (const x of hostile) cache.append(new Float32Array(size).fill(x, 0, 1), new Float32Array(size).fill(x, 7));
    equalBits(cache.scores(Float32Array.of(1, 0, 0, 0, 0, 0, 0, 0)), Float32Array.from(half), variant);
    for (const [i, x] of half.entries()) {
      const p = new Float32Array(half.length);
      p[i] = 1;
      is(cache.mix(p)[7], Math.fround(x), `${variant} ${i}`);
    }
    using exact = kv.create(lb, { heads: 1, headDim: size, context: 16, scale: 1 });
    for (const x of hostile) exact.append(new Float32Array(size).fill(x, 0, 1), new Float32Array(size));
    equalBits(exact.scores(Float32Array.of(1, 0, 0, 0, 0, 0, 0, 0)), Float32Array.from(hostile), variant);
  }
});

/** Keys or values of 512 tokens and 128 channels, of which every twentieth is eight times as large and has an offset. */
function outliers(name: string): { size: number; tokens: number; x: Float32Array } {
  const rng = random(name);
  const [size, tokens] = [128, 512];
  const offsets = Array.from({ length: size }, () => rng.gaussian());
  const x = rng
    .gaussians(size * tokens)
    .map((v, i) => ((i % size) % 20 === 0 ? 8 * (v + (offsets[i % size] as number)) : v));
  return { size, tokens, x };
}

/** KIVI's codes with scales and minima in float64: what ours may not be much worse than. */
function kivi(numbers: readonly number[], bits: number): number[] {
  const least = Math.min(...numbers);
  const scale = (Math.max(...numbers) - least) / (2 ** bits - 1);
  return numbers.map((x) => (scale === 0 ? x : Math.round((x - least) / scale) * scale + least));
}

/** Keys of 512 tokens by channel in strips of 32, or values by token in groups of 32 channels (of 8 bits in one). */
function grouped(
  x: Float32Array,
  size: number,
  isKeys: boolean,
  wide: number,
  code: typeof kivi,
  bits: number,
): Float64Array {
  const out = new Float64Array(x.length);
  for (let at = 0; at < x.length; at += isKeys ? 32 * size : wide) {
    const places = isKeys
      ? Array.from({ length: size }, (_, c) => Array.from({ length: 32 }, (_, i) => at + i * size + c))
      : [Array.from({ length: wide }, (_, i) => at + i)];
    for (const group of places) {
      const values = code(
        group.map((place) => x[place] as number),
        bits,
      );
      for (const [i, place] of group.entries()) out[place] = values[i] as number;
    }
  }
  return out;
}

const scoresExactly = (
  q: Float32Array,
  k: ArrayLike<number>,
  size: number,
  tokens: number,
  scale: number,
): Float64Array =>
  Float64Array.from({ length: (q.length / size) * tokens }, (_, at) => {
    const [h, p] = [Math.floor(at / tokens), at % tokens];
    let sum = 0;
    for (let i = 0; i < size; i++) sum += (q[h * size + i] as number) * (k[p * size + i] as number);
    return sum * scale;
  });

t("errors of keys, values and scores are KIVI's own, on channels with outliers", () => {
  const { size, tokens, x } = outliers("kv outliers");
  // 32 queries: one by itself may be luckier than others.
  const q = random("kv outlier queries").gaussians(32 * size);
  const scale = 1 / Math.sqrt(size);
  const exact = scoresExactly(q, x, size, tokens, scale);
  for (const kind of KINDS) {
    using cache = kv.create(first.lb, {
      heads: 32,
      kvHeads: 1,
      headDim: size,
      context: tokens + 1,
      keys: kind,
      sink: 0,
    });
    cache.append(x, x);
    const scores = cache.scores(q);
    const bits = BITS[kind];
    if (bits === undefined) {
      nmseBelow(scores, exact, kind === "f32" ? 1e-12 : 1e-6, kind);
      continue;
    }
    const wide = bits === 8 ? size : 32;
    const own = (isKeys: boolean): Float64Array =>
      grouped(x, size, isKeys, wide, (numbers, b) => coded(numbers, b, !isKeys), bits);
    const theirs = (isKeys: boolean): Float64Array =>
      grouped(x, size, isKeys, wide, kivi, bits === 8 && isKeys ? 7 : bits);
    const [keys, values] = [nmse(own(true), x), nmse(own(false), x)];
    const ofScores = nmse(scores, exact);
    if (process.env.KV_ERRORS) console.log(kind, keys, values, ofScores);
    ok(keys <= 1.15 * nmse(theirs(true), x), `${kind} keys: ${keys}`);
    ok(values <= 1.15 * nmse(theirs(false), x), `${kind} values: ${values}`);
    // Queries have 8 bits, too.
    const floats = nmse(scoresExactly(q, theirs(true), size, tokens, scale), exact);
    ok(ofScores <= 1.1 * floats + 3e-4, `${kind} scores: ${ofScores} where float queries have ${floats}`);
  }
});

t("what is appended at once, in parts, or again after some was taken back, is the same", () => {
  const rng = random("kv rewind");
  const [heads, size, tokens] = [2, 16, 300];
  const [k, v] = [rng.gaussians(tokens * heads * size), rng.gaussians(tokens * heads * size)];
  const q = rng.gaussians(heads * size);
  const part = (x: Float32Array, from: number, to: number): Float32Array =>
    x.subarray(from * heads * size, to * heads * size);
  for (const kind of KINDS) {
    for (const [window, sink] of [
      [32, 0],
      [32, 32],
      [128, 64],
    ] as const) {
      const options = { heads, headDim: size, context: tokens, keys: kind, window, sink } as const;
      const fresh = (n: number): { scores: Float32Array; sums: Float32Array } => {
        using cache = kv.create(first.lb, options);
        cache.append(part(k, 0, n), part(v, 0, n));
        const scores = cache.scores(q);
        return { scores, sums: cache.mix(scores.map(Math.abs)) };
      };
      using cache = kv.create(first.lb, options);
      const check = (label: string): void => {
        const expected = fresh(cache.length);
        const scores = cache.scores(q);
        equalBits(scores, expected.scores, `${kind} ${window} ${sink} ${label}`);
        equalBits(cache.mix(scores.map(Math.abs)), expected.sums, `${kind} ${window} ${sink} ${label}, sums`);
      };
      let seed = 12345;
      for (let turn = 0; turn < 40; turn++) {
        seed = (seed * 1103515245 + 12345) % 2 ** 31;
        const n = Math.min(tokens - cache.length, [1, 31, 33, 70][seed % 4] as number);
        if (n > 0) cache.append(part(k, cache.length, cache.length + n), part(v, cache.length, cache.length + n));
        if (turn % 4 === 0) check(`after ${n}`);
        if (turn % 3 !== 2 && cache.length < tokens) continue;
        const wanted = Math.max(0, cache.length - ([1, 5, 40, 100][(seed >> 3) % 4] as number));
        // Something else was there instead.
        const left = cache.rewind(wanted);
        ok(left <= wanted && left > wanted - window, `${kind}: ${left} of ${wanted}`);
        if (kind === "f32" || kind === "f16") is(left, wanted);
        if (left < tokens) cache.append(part(v, left, left + 1), part(k, left, left + 1));
        cache.rewind(left);
        is(cache.length <= left, true);
      }
      check("at the end");
    }
  }
});

t("hostile numbers: huge, tiny, all the same, none", () => {
  const size = 16;
  for (const x of [0, 1, -1e30, 1e37, 1e-30, 1e-44]) {
    for (const kind of KINDS) {
      using cache = kv.create(first.lb, { heads: 1, headDim: size, context: 100, keys: kind, sink: 0, scale: 1 });
      for (let p = 0; p < 65; p++) cache.append(new Float32Array(size).fill(x), new Float32Array(size).fill(x));
      const q = new Float32Array(size);
      q[3] = 0.5;
      const expected = kind === "f16" ? Math.max(-65504, Math.min(65504, Math.abs(x) < 2 ** -25 ? 0 : x)) : x;
      for (const s of cache.scores(q))
        ok(Math.abs(s - expected / 2) <= 2e-5 * Math.abs(expected) + 1e-40, `${kind} ${x}: ${s}`);
      const p = new Float32Array(65);
      p[7] = 0.5;
      for (const s of cache.mix(p))
        ok(Math.abs(s - expected / 2) <= 2e-5 * Math.abs(expected) + 1e-40, `${kind} ${x}: sum ${s}`);
    }
  }
});

t("sums of the largest codes do not leave 32 bits", () => {
  // Every code the largest, every query and weight, too: |Σ| = 127 · 127 · size, and 127 · 255 by values that span all codes.
  const size = 4096;
  for (const { variant, lb } of instances) {
    using cache = kv.create(lb, { heads: 1, headDim: size, context: 40, keys: "int8", sink: 0, scale: 1 });
    for (let p = 0; p < 33; p++) {
      const x = new Float32Array(size).fill(p % 2 === 0 ? 127 : 0);
      cache.append(x, x.fill(127, 0, 8));
    }
    const scores = cache.scores(new Float32Array(size).fill(1));
    for (const [p, s] of scores.entries()) {
      const expected = p % 2 === 0 ? 127 * size : 127 * 8;
      ok(Math.abs(s - expected) <= 1e-5 * 127 * size, `${variant} ${p}: ${s} for ${expected}`);
    }
  }
});

t("arguments", () => {
  const { lb } = first;
  const good = { heads: 4, kvHeads: 2, headDim: 8, context: 40 };
  const { used } = lb.memory;
  const make =
    (options: object): (() => unknown) =>
    () =>
      kv.create(lb, { ...good, ...options });
  throwsWith(make({ key: "f16" }), TypeError, 'did you mean "keys"?');
  throwsWith(make({ keys: "int3" }), RangeError, "kv.create: keys");
  throwsWith(make({ values: 8 }), TypeError, "kv.create: values");
  throwsWith(make({ window: 33 }), RangeError, "kv.create: window: expected a multiple of 32, got 33");
  throwsWith(make({ sink: -1 }), RangeError, "kv.create: sink");
  throwsWith(make({ kvHeads: 3 }), RangeError, "kv.create: kvHeads: expected a divisor of heads 4, got 3");
  throwsWith(make({ headDim: 6 }), RangeError, "kv.create: headDim: expected a multiple of 4, got 6");
  throwsWith(make({ context: 0 }), RangeError, "kv.create: context");
  throwsWith(make({ scale: Number.NaN }), RangeError, "kv.create: scale");
  throwsWith(() => kv.create({} as never, good), TypeError, "kv.create: lb");
  const cache = kv.create(lb, { ...good, keys: "int4", values: "int2" });
  throwsWith(() => cache.scores(new Float32Array(32)), TypeError, "kv.scores: expected tokens in the cache, got none");
  throwsWith(() => cache.append(new Float32Array(15), new Float32Array(15)), RangeError, "multiple of 16");
  throwsWith(
    () => cache.append(new Float32Array(16), new Float32Array(32)),
    RangeError,
    "kv.append: v: expected length 16",
  );
  throwsWith(
    () => cache.append([1] as never, new Float32Array(16)),
    TypeError,
    "kv.append: k: expected a Float32Array",
  );
  throwsWith(
    () => cache.append(new Float32Array(16), new Float32Array(16).fill(Number.NaN, 3)),
    RangeError,
    "kv.append: v: expected finite numbers, got NaN at index 3",
  );
  throwsWith(() => cache.append(new Float32Array(41 * 16), new Float32Array(41 * 16)), RangeError, "context of 40");
  is(cache.length, 0);
  cache.append(new Float32Array(40 * 16), new Float32Array(40 * 16));
  throwsWith(() => cache.append(new Float32Array(16), new Float32Array(16)), RangeError, "context of 40");
  throwsWith(
    () => cache.scores(new Float32Array(31)),
    RangeError,
    "kv.scores: q: expected length 32 (heads 4 x headDim 8)",
  );
  throwsWith(() => cache.mix(new Float32Array(160).fill(-1, 5)), RangeError, "-1 at index 5");
  throwsWith(() => cache.mix(new Float32Array(160), new Float32Array(1)), RangeError, "kv.mix: out");
  throwsWith(() => cache.rewind(41), RangeError, "kv.rewind: length");
  const out = new Float32Array(160);
  is(cache.scores(new Float32Array(32), out), out);
  ok(cache.bytes > 0);
  cache.dispose();
  cache.dispose();
  throwsWith(
    () => cache.append(new Float32Array(16), new Float32Array(16)),
    TypeError,
    "kv.append: this cache was disposed",
  );
  ok(lb.memory.used <= used + engineOf("test", lb).scratchBytes);
});

t("keys and values of two kinds; errors do not depend on the other side", () => {
  const { size, tokens, x } = outliers("kv mixed");
  const q = random("kv mixed queries").gaussians(size);
  const p = new Float32Array(tokens).fill(1 / tokens);
  const of = (keys: KvKind, values: KvKind): [Float32Array, Float32Array] => {
    using cache = kv.create(first.lb, { heads: 1, headDim: size, context: tokens, keys, values });
    cache.append(x, x);
    return [cache.scores(q), cache.mix(p)];
  };
  for (const keys of KINDS) {
    for (const values of KINDS) {
      const [scores, sums] = of(keys, values);
      equalBits(scores, of(keys, keys)[0], `${keys} beside ${values}`);
      equalBits(sums, of(values, values)[1], `${values} beside ${keys}`);
    }
  }
  ok(nmse(of("int8", "int8")[1], of("f32", "f32")[1]) < 1e-4);
});

if (acceptsRelaxed()) {
  t(
    "on every kind of machine: dot products with sums of 32 bits, unsigned and signed, and of pairs in 16",
    async () => {
      const { size, tokens, x } = outliers("kv machines");
      const rng = random("kv machine queries");
      for (const [heads, kvHeads] of [
        [2, 1],
        [3, 1],
      ] as const) {
        const q = rng.gaussians(heads * size);
        const p = rng.gaussians(heads * tokens).map(Math.abs);
        // Weights and values of all the largest codes.
        const v = x.map((value, i) => ((i >> 4) % 3 === 0 ? (i % 2) * 2 - 1 : value));
        for (const keys of ["int8", "int4", "int2"] as const) {
          const of = (lb: Lowbit): [Float32Array, Float32Array] => {
            using cache = kv.create(lb, { heads, kvHeads, headDim: size, context: tokens, keys });
            cache.append(x, v);
            return [cache.scores(q), cache.mix(p)];
          };
          const expected = of(first.lb);
          for (const dot of Object.keys(MACHINES) as Dot[]) {
            const lb = await init({ module: binaryOf(MACHINES[dot]), threads: 1 });
            const [scores, sums] = of(lb);
            equalBits(scores, expected[0], `${keys} ${dot} scores`);
            equalBits(sums, expected[1], `${keys} ${dot} sums`);
            lb.dispose();
          }
        }
      }
    },
  );
}
