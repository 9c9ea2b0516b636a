// Keys and values of few bits, for attention of one's own.
import { checkFinite, checkFloatArray, checkFloats, checkInteger, rangeError, typeError } from "../lib/check.ts";
import { type OptionNames, readOptions } from "../lib/options.ts";
import { type Engine, engineOf } from "../runtime/engine.ts";
import type { Lowbit } from "../runtime/features.ts";
import { KvCache, type KvShape } from "./cache.ts";
import { type KvOptions, readKv, STRIP } from "./kv-layout.ts";

export interface CreateOptions extends KvOptions {
  /** Query heads: a multiple of `kvHeads`. Query head h meets KV head floor(h / (heads / kvHeads)). */
  readonly heads: number;
  /** Default: as many as query heads. */
  readonly kvHeads?: number;
  /** Numbers of a head, a multiple of 4. */
  readonly headDim: number;
  /** Positions at most. */
  readonly context: number;
  /** What scores are multiplied by. Default 1 / √headDim. */
  readonly scale?: number;
}

const NAMES: OptionNames<CreateOptions> = {
  heads: ["num_attention_heads"],
  kvHeads: ["num_key_value_heads"],
  headDim: ["head_dim", "headSize"],
  context: ["max_position_embeddings"],
  scale: [],
  keys: ["k"],
  values: ["v"],
  window: ["residual"],
  sink: [],
};

/** Of the largest codes a dot product of so many numbers stays within 32 bits (assembly/model/README.md). */
const MOST_NUMBERS = 65536;
const MOST_CONTEXT = 2 ** 24;

/** A cache of keys and values of one layer. Keys are to be rotated before they come. */
export interface Kv {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly context: number;
  readonly scale: number;
  /** Tokens that are there. */
  readonly length: number;
  /** Bytes of linear memory of all positions that there is room for now. */
  readonly bytes: number;
  /**
   * Adds tokens.
   *
   * @param k float32 [tokens][kvHeads][headDim]
   * @param v likewise
   * @throws TypeError, RangeError (NaN, Infinity, more than the context); OutOfMemoryError; nothing has happened then
   */
  append(k: Float32Array, v: Float32Array): void;
  /**
   * Scores of the newest token's queries: scale · ⟨q, k⟩, before the softmax, in float32.
   *
   * @param q float32 [heads][headDim]
   * @returns float32 [heads][length]
   * @throws TypeError, RangeError; OutOfMemoryError
   */
  scores(q: Float32Array, out?: Float32Array): Float32Array;
  /**
   * Sums of values: Σ p · v.
   *
   * @param p float32 [heads][length], not negative: what softmax made of scores
   * @returns float32 [heads][headDim]
   * @throws TypeError, RangeError; OutOfMemoryError
   */
  mix(p: Float32Array, out?: Float32Array): Float32Array;
  /**
   * Forgets all but the first `length` tokens, or a few more of them: those of a window that is codes by now are to be appended
   * again, so that results are those of a cache that never had more.
   *
   * @returns how many are left
   */
  rewind(length: number): number;
  /** Gives its memory back. */
  dispose(): void;
  [Symbol.dispose](): void;
}

class LayerKv implements Kv {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly context: number;
  readonly scale: number;
  readonly #engine: Engine;
  readonly #cache: KvCache;
  #length = 0;
  #gone = false;

  constructor(engine: Engine, cache: KvCache, shape: KvShape & { heads: number; context: number; scale: number }) {
    this.#engine = engine;
    this.#cache = cache;
    this.heads = shape.heads;
    this.kvHeads = shape.kvHeads;
    this.headDim = shape.headSize;
    this.context = shape.context;
    this.scale = shape.scale;
  }

  get length(): number {
    return this.#length;
  }

  get bytes(): number {
    return this.#cache.bytes(this.#cache.capacity);
  }

  append(k: Float32Array, v: Float32Array): void {
    this.#alive("append");
    const token = this.kvHeads * this.headDim;
    const keys = checkFloatArray("kv.append: k", k);
    const n = keys.length / token;
    if (!Number.isInteger(n) || n === 0) {
      throw rangeError("kv.append: k", `a length that is a multiple of ${token} (kvHeads x headDim)`, keys.length);
    }
    const values = checkFloats("kv.append: v", v, keys.length, "that of k");
    checkFinite("kv.append: k", keys);
    checkFinite("kv.append: v", values);
    const end = this.#length + n;
    if (end > this.context) throw rangeError("kv.append: k", `tokens for a context of ${this.context}`, String(end));
    this.#engine.guarded(() => {
      const scratch = this.#engine.scratch(2 * STRIP * token * 4);
      this.#cache.reserve(end);
      this.#cache.writes(end);
      for (let at = 0, m = 0; at < n; at += m) {
        m = Math.min(STRIP, this.#cache.chunk(this.#length, n - at));
        const { floats } = this.#engine.arena;
        floats.set(keys.subarray(at * token, (at + m) * token), scratch / 4);
        floats.set(values.subarray(at * token, (at + m) * token), scratch / 4 + m * token);
        const second = scratch + m * token * 4;
        this.#engine.exports.model_append(scratch, second, token, this.#cache.record(0), 0, m, this.#length);
        this.#length += m;
      }
    });
  }

  scores(q: Float32Array, out?: Float32Array): Float32Array {
    this.#some("scores");
    const { heads, headDim } = this;
    const queries = checkFloats("kv.scores: q", q, heads * headDim, `heads ${heads} x headDim ${headDim}`);
    checkFinite("kv.scores: q", queries);
    const to = this.#result("kv.scores: out", out, heads * this.#length, `heads ${heads} x ${this.#length} tokens`);
    this.#compute(queries.length, ({ rows, numbers, step, work }) => {
      const { exports, arena } = this.#engine;
      arena.floats.set(queries, numbers / 4);
      const record = this.#cache.record(0);
      exports.model_scores(numbers, record, rows, step, work, heads / this.kvHeads, this.#length, this.scale);
      for (let head = 0; head < heads; head++) {
        const from = rows / 4 + head * step;
        to.set(arena.floats.subarray(from, from + this.#length), head * this.#length);
      }
    });
    return out ?? to;
  }

  mix(p: Float32Array, out?: Float32Array): Float32Array {
    this.#some("mix");
    const { heads, headDim } = this;
    const weights = checkFloats("kv.mix: p", p, heads * this.#length, `heads ${heads} x ${this.#length} tokens`);
    const bad = weights.findIndex((value) => !(value >= 0 && value < Number.POSITIVE_INFINITY));
    if (bad >= 0)
      throw rangeError("kv.mix: p", "finite numbers that are not negative", `${weights[bad]} at index ${bad}`);
    const to = this.#result("kv.mix: out", out, heads * headDim, `heads ${heads} x headDim ${headDim}`);
    this.#compute(to.length, ({ rows, numbers, step, work }) => {
      const { exports, arena } = this.#engine;
      for (let head = 0; head < heads; head++) {
        const at = rows / 4 + head * step;
        arena.floats.set(weights.subarray(head * this.#length, (head + 1) * this.#length), at);
        arena.floats.fill(0, at + this.#length, at + step);
      }
      exports.model_mix(rows, step, this.#cache.record(0), numbers, work, heads / this.kvHeads, this.#length);
      to.set(arena.floats.subarray(numbers / 4, numbers / 4 + to.length));
    });
    return out ?? to;
  }

  rewind(length: number): number {
    this.#alive("rewind");
    this.#length = this.#cache.rewind(checkInteger("kv.rewind: length", length, 0, this.#length));
    return this.#length;
  }

  dispose(): void {
    this.#gone = true;
    this.#length = 0;
    this.#cache.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #alive(method: string): void {
    if (this.#gone) throw new TypeError(`kv.${method}: this cache was disposed`);
  }

  #some(method: string): void {
    this.#alive(method);
    if (this.#length === 0) throw new TypeError(`kv.${method}: expected tokens in the cache, got none`);
  }

  #result(where: string, out: unknown, length: number, shape: string): Float32Array {
    return out === undefined ? new Float32Array(length) : checkFloats(where, out, length, shape);
  }

  #compute(
    length: number,
    body: (places: { rows: number; numbers: number; step: number; work: number }) => void,
  ): void {
    const { exports } = this.#engine;
    const step = Math.ceil(this.#length / STRIP) * STRIP;
    const numbers = Math.ceil(length / 16) * 64;
    const work = exports.model_attend_scratch(this.heads / this.kvHeads, this.headDim, this.#length);
    this.#engine.guarded(() => {
      const rows = this.#engine.scratch(this.heads * step * 4 + numbers + work);
      const after = rows + this.heads * step * 4;
      body({ rows, numbers: after, step, work: after + numbers });
    });
  }
}

/**
 * A cache of keys and values, each float32, float16, or codes of 8, 4 or 2 bits: keys scaled by channel in strips of 32 tokens, values
 * by token (KIVI, arXiv:2402.02750). Contract and errors: docs/numerics.md.
 *
 * @throws TypeError, RangeError; TypeError for an `lb` that init() did not give
 */
export function create(lb: Lowbit, options: CreateOptions): Kv {
  const engine = engineOf("kv.create", lb);
  const where = "kv.create";
  const given = readOptions<CreateOptions>(where, options, NAMES);
  const heads = checkInteger(`${where}: heads`, given.heads, 1, 2 ** 20);
  const kvHeads = checkInteger(`${where}: kvHeads`, given.kvHeads ?? heads, 1, heads);
  if (heads % kvHeads !== 0) throw rangeError(`${where}: kvHeads`, `a divisor of heads ${heads}`, String(kvHeads));
  const headSize = checkInteger(`${where}: headDim`, given.headDim, 4, MOST_NUMBERS);
  if (headSize % 4 !== 0) throw rangeError(`${where}: headDim`, "a multiple of 4", String(headSize));
  const context = checkInteger(`${where}: context`, given.context, 1, MOST_CONTEXT);
  const scale = given.scale ?? 1 / Math.sqrt(headSize);
  if (typeof scale !== "number") throw typeError(`${where}: scale`, "a number", scale);
  if (!Number.isFinite(scale)) throw rangeError(`${where}: scale`, "a finite number", String(scale));
  const { keys, values, window, sink } = given;
  const layout = readKv(where, {
    ...(keys !== undefined && { keys }),
    ...(values !== undefined && { values }),
    ...(window !== undefined && { window }),
    ...(sink !== undefined && { sink }),
  });
  const shape = { layers: 1, kvHeads, headSize };
  return new LayerKv(engine, new KvCache(engine, shape, layout), { ...shape, heads, context, scale });
}
