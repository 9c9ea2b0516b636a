// The forward pass: from tokens to hidden states and logits, between addresses of linear memory. What a layer does is put
// together once, as a list of calls whose arguments are known but for the tokens and where they are.
import type { Engine } from "../runtime/engine.ts";
import { type Architecture, architectures } from "./architectures.ts";
import type { KvCache } from "./cache.ts";
import { ACTS, type ModelConfig } from "./config.ts";
import { type ExpertBuffers, expertBuffers, expertStep } from "./experts.ts";
import { type Product, productOf, type RowReader, rowReaderOf } from "./product.ts";
import { RopeTable } from "./rope.ts";
import { BATCH, type Buffers, type Run, type Step } from "./step.ts";
import type { Group, LayerWeights, ModelWeights, Norm } from "./weights.ts";

/** Floats of each buffer. */
export function bufferSizes(config: ModelConfig): Readonly<Record<keyof Buffers, number>> {
  const { hidden, width, heads, kvHeads, headSize } = config;
  const queries = heads * headSize;
  const widest = Math.max(width, config.experts?.width ?? 0);
  return {
    x: BATCH * hidden,
    h: BATCH * hidden,
    t: BATCH * hidden,
    qkv: BATCH * (queries + 2 * kvHeads * headSize),
    attended: BATCH * queries,
    gateUp: BATCH * 2 * widest,
    act: BATCH * widest,
  };
}

export class Decoder {
  readonly #engine: Engine;
  readonly #config: ModelConfig;
  readonly #weights: ModelWeights;
  readonly #row: Architecture;
  readonly #regions: number[] = [];
  readonly #buffers: Buffers;
  readonly #experts: ExpertBuffers | undefined;
  readonly #ropes: readonly RopeTable[];
  readonly #steps: readonly Step[];
  readonly #embed: RowReader;
  readonly #head: Product;
  readonly #logits: number;

  /** @throws OutOfMemoryError; nothing is left behind */
  constructor(engine: Engine, config: ModelConfig, weights: ModelWeights) {
    this.#engine = engine;
    this.#config = config;
    this.#weights = weights;
    this.#row = architectures[config.architecture] as Architecture;
    const sizes = bufferSizes(config);
    try {
      const region = (name: keyof Buffers): number => this.#region(sizes[name]);
      this.#buffers = {
        x: region("x"),
        h: region("h"),
        t: region("t"),
        qkv: region("qkv"),
        attended: region("attended"),
        gateUp: region("gateUp"),
        act: region("act"),
      };
      this.#experts = config.experts && expertBuffers(config, (floats) => this.#region(floats));
      this.#logits = this.#region(weights.head.rows);
      this.#ropes = config.ropes.map((rope) => new RopeTable(engine, rope));
      this.#steps = weights.layers.flatMap((layer, i) => this.#layer(layer, i));
      this.#embed = rowReaderOf(engine, weights.embedding);
      this.#head = productOf(engine, weights.head);
    } catch (error) {
      for (const region of this.#regions) engine.arena.release(region);
      throw error;
    }
  }

  #region(floats: number): number {
    const address = this.#engine.arena.allocate(floats * 4);
    this.#regions.push(address);
    return address;
  }

  dispose(): void {
    for (const region of this.#regions) this.#engine.arena.release(region);
    for (const rope of this.#ropes) rope.dispose();
    this.#regions.length = 0;
  }

  /**
   * Appends tokens to a cache, at most BATCH.
   * @param position of the first, which is how many the cache holds
   * @param length of the whole sequence that they are part of: frequencies may depend on it
   */
  forward(cache: KvCache, tokens: ArrayLike<number>, position: number, length: number): void {
    const { hidden, embeddingScale } = this.#config;
    const { x } = this.#buffers;
    const n = tokens.length;
    cache.reserve(position + n);
    for (let i = 0; i < n; i++) this.#embed(tokens[i] as number, x + i * hidden * 4);
    if (embeddingScale !== 1) this.#engine.exports.model_scale(x, x, n * hidden, embeddingScale);
    const run: Run = { n, position, length, cache };
    cache.writes(position + n);
    for (const step of this.#steps) step(run);
  }

  /** Hidden states of the last forward() after the final norm: address of float32 [tokens][hidden]. */
  normed(first: number, end: number): number {
    const { x, h } = this.#buffers;
    this.#norm(this.#weights.norm, x, h, first, end);
    return h;
  }

  /** Logits of token `index` of the last forward(): a view [vocabulary], valid until the next call. */
  logits(index: number): Float32Array {
    const { hidden, logitScale, logitCap, vocabulary } = this.#config;
    const h = this.normed(index, index + 1);
    this.#head(h + index * hidden * 4, 1, this.#logits);
    const { exports, arena } = this.#engine;
    const padded = Math.ceil(vocabulary / 4) * 4;
    if (logitScale !== 1) exports.model_scale(this.#logits, this.#logits, padded, logitScale);
    if (logitCap > 0) exports.model_soft_cap(this.#logits, padded, logitCap);
    return arena.floats.subarray(this.#logits / 4, this.#logits / 4 + vocabulary);
  }

  #norm({ weight, bias }: Norm, x: number, y: number, begin: number, end: number): void {
    const { hidden, eps } = this.#config;
    const { exports } = this.#engine;
    if (this.#row.norm === "rms") exports.model_rms_norm(x, hidden, y, hidden, weight, begin, end, 1, hidden, eps);
    else exports.model_layer_norm(x, hidden, y, hidden, weight, bias, begin, end, 1, hidden, eps, 0);
  }

  // A norm of hidden states as a call.
  #normStep(norm: Norm, x: number, y: number): Step {
    return ({ n }) => this.#norm(norm, x, y, 0, n);
  }

  #addStep(y: number): Step {
    const { hidden, residualScale } = this.#config;
    const { exports } = this.#engine;
    const { x } = this.#buffers;
    return ({ n }) => exports.model_add(x, y, n * hidden, residualScale);
  }

  #layer(layer: LayerWeights, index: number): Step[] {
    const { x, h, t } = this.#buffers;
    const { parallel } = this.#config;
    const steps: Step[] = [];
    // Where there is no norm in front, a block reads the residual stream itself.
    const attnIn = layer.attnNorm ? h : x;
    if (layer.attnNorm) steps.push(this.#normStep(layer.attnNorm, x, h));
    steps.push(...this.#attention(layer, index, attnIn, t));
    if (layer.postAttn) steps.push(this.#normStep(layer.postAttn, t, t));
    const add = this.#addStep(t);
    let ffnIn = layer.ffnNorm || parallel ? h : x;
    if (parallel && layer.ffnNorm === undefined) ffnIn = attnIn;
    const norm = layer.ffnNorm && this.#normStep(layer.ffnNorm, x, h);
    // A parallel block reads what the layer began with.
    if (parallel) steps.push(...(norm ? [norm] : []), add);
    else steps.push(add, ...(norm ? [norm] : []));
    steps.push(...this.#feedForward(layer, ffnIn, t));
    if (layer.postFfn) steps.push(this.#normStep(layer.postFfn, t, t));
    steps.push(this.#addStep(t));
    return steps;
  }

  #attention(layer: LayerWeights, index: number, from: number, to: number): Step[] {
    const { heads, kvHeads, headSize, attentionScale, attentionCap, layers } = this.#config;
    const engine = this.#engine;
    const { exports } = engine;
    const { qkv, attended } = this.#buffers;
    const { window, rope } = layers[index] as { window: number; rope: number };
    const [q, kv] = [heads * headSize, kvHeads * headSize];
    const fused = layer.qkv.length === 1;
    const qStride = fused ? q + 2 * kv : q;
    const kvStride = fused ? q + 2 * kv : kv;
    const places = fused
      ? [qkv, qkv + q * 4, qkv + (q + kv) * 4]
      : [qkv, qkv + BATCH * q * 4, qkv + BATCH * (q + kv) * 4];
    const [qAt, kAt, vAt] = places as [number, number, number];
    const steps: Step[] = this.#products(layer.qkv, from, places);
    if (layer.qNorm) steps.push(this.#headNorm(layer, layer.qNorm, qAt, qStride, heads));
    if (layer.kNorm) steps.push(this.#headNorm(layer, layer.kNorm, kAt, kvStride, kvHeads));
    const table = this.#ropes[rope];
    if (table) {
      const { turned } = table;
      const pairs = this.#config.pairs ? 1 : 0;
      steps.push(({ n, position, length }) => {
        const at = table.rows(position, position + n, length);
        exports.model_rope(qAt, qStride, at, 0, n, heads, headSize, turned, position, pairs);
        exports.model_rope(kAt, kvStride, at, 0, n, kvHeads, headSize, turned, position, pairs);
      });
    }
    const group = heads / kvHeads;
    steps.push(({ n, position, cache }) => {
      const record = cache.record(index);
      for (let at = 0, m = 0; at < n; at += m) {
        m = cache.chunk(position + at, n - at);
        const first = position + at;
        const end = first + m;
        const kvFrom = at * kvStride * 4;
        exports.model_append(kAt + kvFrom, vAt + kvFrom, kvStride, record, 0, m, first);
        const scratchBytes = exports.model_attend_scratch(group, headSize, end);
        engine.compute(() => {
          const scratch = engine.scratch(engine.threads * scratchBytes);
          const call = engine.attend(
            qAt + at * qStride * 4,
            qStride,
            record,
            attended + at * q * 4,
            scratch,
            0,
            0,
            group,
            first,
            window,
            attentionScale,
            attentionCap,
            layer.sinks,
          );
          const rows = m * kvHeads * 64;
          const seen = Math.min(window || end, end);
          const work = 2 * m * heads * headSize * seen;
          return { job: { calls: [call], rows, rowStep: rows, scratchBytes, work }, finish: () => {} };
        });
      }
    });
    const { attnSub } = layer;
    if (attnSub)
      steps.push(({ n }) =>
        exports.model_rms_norm(attended, q, attended, q, attnSub.weight, 0, n, 1, q, this.#config.eps),
      );
    const product = productOf(engine, layer.o);
    steps.push(({ n }) => product(attended, n, to));
    return steps;
  }

  #headNorm({ wholeNorms }: LayerWeights, { weight, bias }: Norm, at: number, stride: number, heads: number): Step {
    const { headSize, eps } = this.#config;
    const { exports } = this.#engine;
    const [inner, size] = wholeNorms ? [1, heads * headSize] : [heads, headSize];
    if (this.#row.norm === "rms") {
      return ({ n }) => exports.model_rms_norm(at, stride, at, stride, weight, 0, n * inner, inner, size, eps);
    }
    return ({ n }) => exports.model_layer_norm(at, stride, at, stride, weight, bias, 0, n * inner, inner, size, eps, 0);
  }

  // A group to addresses: one result, or one for each.
  #products(group: Group, from: number, to: readonly number[]): Step[] {
    return group.map((matrix, i) => {
      const product = productOf(this.#engine, matrix);
      const at = to[i] as number;
      return ({ n }) => product(from, n, at);
    });
  }

  #feedForward(layer: LayerWeights, from: number, to: number): Step[] {
    const { width, eps } = this.#config;
    const { exports } = this.#engine;
    if (layer.router)
      return [expertStep(this.#engine, this.#config, layer, this.#buffers, from, to, this.#experts as ExpertBuffers)];
    const { act } = this.#buffers;
    const steps = this.#gate(layer.gateUp, layer.gated, width, from);
    const { ffnSub } = layer;
    if (ffnSub)
      steps.push(({ n }) => exports.model_rms_norm(act, width, act, width, ffnSub.weight, 0, n, 1, width, eps));
    const product = productOf(this.#engine, layer.down as NonNullable<typeof layer.down>);
    steps.push(({ n }) => product(act, n, to));
    return steps;
  }

  #gate(group: Group, gated: boolean, width: number, from: number): Step[] {
    const { exports } = this.#engine;
    const { gateUp, act } = this.#buffers;
    const kind = ACTS.indexOf(this.#config.act);
    const fused = gated && group.length === 1;
    const stride = fused ? 2 * width : width;
    const up = fused ? gateUp + width * 4 : gateUp + BATCH * width * 4;
    const steps = this.#products(group, from, [gateUp, up]);
    steps.push(({ n }) => exports.model_gate(gateUp, gated ? up : 0, stride, act, 0, n, width, kind));
    return steps;
  }
}
