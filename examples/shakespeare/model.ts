/**
 * The transformer: BitNet b1.58's architecture (RMS norms before and inside each block, rotary embedding, squared ReLU,
 * no biases, tied embedding) over linear layers of 1 to 8 bits. Those run on lowbit, which also quantises their input,
 * to int8 per token; the rest is float32 arrays and plain loops that accumulate in doubles.
 *
 * Prefill (many tokens) and decode (one) are the same code but for `gemm` and `gemv`, so they agree bit for bit
 * wherever those two do.
 */
import type { Matrix } from "lowbit";
import type { LayerWeights, Weights } from "./weights.ts";

/** The arrays that a pass over `count` tokens works in, all row-major [count, size]. */
interface Workspace {
  readonly count: number;
  /** The residual stream. */
  readonly x: Float32Array;
  /** A normalised copy of x, or what a block adds to it. */
  readonly h: Float32Array;
  readonly query: Float32Array;
  readonly key: Float32Array;
  readonly value: Float32Array;
  readonly attention: Float32Array;
  readonly gate: Float32Array;
  readonly up: Float32Array;
}

/** Rotated keys and values of the tokens so far, [maxPosition, heads * headDim]. */
interface LayerCache {
  readonly keys: Float32Array;
  readonly values: Float32Array;
}

export class Model {
  readonly weights: Weights;
  /** The number of tokens in the key-value cache: the position of the next token. */
  position = 0;

  readonly #attentionSize: number;
  readonly #cache: readonly LayerCache[];
  /** cos and sin of position * theta^(-2i / headDim), [maxPosition, headDim / 2]. */
  readonly #cos: Float32Array;
  readonly #sin: Float32Array;
  /** Scores, then softmax weights, of one query and head. */
  readonly #scores: Float64Array;
  readonly #logits: Float32Array;
  readonly #single: Workspace;
  #batch: Workspace;

  constructor(weights: Weights) {
    const { heads, headDim, maxPosition, ropeTheta, vocabSize } = weights.config;
    this.weights = weights;
    this.#attentionSize = heads * headDim;
    this.#cache = weights.layers.map(() => ({
      keys: new Float32Array(maxPosition * heads * headDim),
      values: new Float32Array(maxPosition * heads * headDim),
    }));
    const half = headDim / 2;
    this.#cos = new Float32Array(maxPosition * half);
    this.#sin = new Float32Array(maxPosition * half);
    for (let position = 0; position < maxPosition; position++) {
      for (let i = 0; i < half; i++) {
        const angle = position * ropeTheta ** (-i / half);
        this.#cos[position * half + i] = Math.cos(angle);
        this.#sin[position * half + i] = Math.sin(angle);
      }
    }
    this.#scores = new Float64Array(maxPosition);
    this.#logits = new Float32Array(vocabSize);
    this.#single = this.#workspace(1);
    this.#batch = this.#single;
  }

  /** Forgets all tokens. */
  reset(): void {
    this.position = 0;
  }

  /** Frees the matrices. */
  dispose(): void {
    for (const matrix of this.weights.matrices) matrix.dispose();
  }

  /**
   * Appends one token.
   * @returns The logits of the token after it: [vocabSize], overwritten by the next call.
   * @throws {RangeError} If the context is full.
   */
  decode(token: number): Float32Array {
    this.#forward([token], this.#single);
    return this.#unembed(this.#single, 0, this.#logits);
  }

  /**
   * Appends tokens, at least one.
   * @returns The logits of the token after the last: [vocabSize], overwritten by the next call.
   * @throws {RangeError} If there is no token or the context has no room for all.
   */
  prefill(tokens: ArrayLike<number>): Float32Array {
    const work = this.#prefillForward(tokens);
    return this.#unembed(work, tokens.length - 1, this.#logits);
  }

  /** As `prefill`, but returns the logits after every token: a new array [tokens, vocabSize]. */
  prefillAll(tokens: ArrayLike<number>): Float32Array {
    const work = this.#prefillForward(tokens);
    const { vocabSize } = this.weights.config;
    const logits = new Float32Array(tokens.length * vocabSize);
    for (let i = 0; i < tokens.length; i++) {
      this.#unembed(work, i, logits.subarray(i * vocabSize, (i + 1) * vocabSize));
    }
    return logits;
  }

  #prefillForward(tokens: ArrayLike<number>): Workspace {
    if (tokens.length === 0) throw new RangeError("prefill: expected at least one token");
    if (this.#batch.count !== tokens.length) this.#batch = this.#workspace(tokens.length);
    this.#forward(tokens, this.#batch);
    return this.#batch;
  }

  #workspace(count: number): Workspace {
    const { hiddenSize, intermediateSize } = this.weights.config;
    return {
      count,
      x: new Float32Array(count * hiddenSize),
      h: new Float32Array(count * hiddenSize),
      query: new Float32Array(count * this.#attentionSize),
      key: new Float32Array(count * this.#attentionSize),
      value: new Float32Array(count * this.#attentionSize),
      attention: new Float32Array(count * this.#attentionSize),
      gate: new Float32Array(count * intermediateSize),
      up: new Float32Array(count * intermediateSize),
    };
  }

  /** Runs tokens through all layers; leaves the normalised output in `work.h`. */
  #forward(tokens: ArrayLike<number>, work: Workspace): void {
    const { embedding, layers, norm } = this.weights;
    const { hiddenSize, rmsNormEps, maxPosition } = this.weights.config;
    const { count, x, h } = work;
    if (this.position + count > maxPosition) {
      throw new RangeError(
        `context is full: expected at most ${maxPosition} tokens, got ${this.position} and ${count} more`,
      );
    }
    for (let i = 0; i < count; i++) {
      const row = (tokens[i] as number) * hiddenSize;
      x.set(embedding.subarray(row, row + hiddenSize), i * hiddenSize);
    }
    for (const [i, layer] of layers.entries()) {
      rmsNorm(x, layer.inputNorm, rmsNormEps, h);
      this.#attend(layer, this.#cache[i] as LayerCache, work);
      add(x, h);
      rmsNorm(x, layer.postAttentionNorm, rmsNormEps, h);
      this.#feedForward(layer, work);
      add(x, h);
    }
    rmsNorm(x, norm, rmsNormEps, h);
    this.position += count;
  }

  /** h <- o_proj(norm(attention(h))), and the new keys and values go to the cache. */
  #attend(layer: LayerWeights, cache: LayerCache, work: Workspace): void {
    const { count, h, query, key, value, attention } = work;
    const size = this.#attentionSize;
    multiply(layer.query, h, count, query);
    multiply(layer.key, h, count, key);
    multiply(layer.value, h, count, value);
    this.#rotate(query, count);
    this.#rotate(key, count);
    cache.keys.set(key, this.position * size);
    cache.values.set(value, this.position * size);
    for (let i = 0; i < count; i++) this.#attendToken(cache, query, attention, i);
    rmsNorm(attention, layer.attentionNorm, this.weights.config.rmsNormEps, attention);
    multiply(layer.output, attention, count, h);
  }

  /** Causal softmax attention of the pass's token i, all heads. */
  #attendToken(cache: LayerCache, query: Float32Array, attention: Float32Array, i: number): void {
    const { heads, headDim } = this.weights.config;
    const size = this.#attentionSize;
    const { keys, values } = cache;
    const scores = this.#scores;
    const visible = this.position + i + 1;
    const scale = 1 / Math.sqrt(headDim);
    for (let head = 0; head < heads; head++) {
      const offset = head * headDim;
      let max = -Infinity;
      for (let t = 0; t < visible; t++) {
        const score = dot(query, i * size + offset, keys, t * size + offset, headDim) * scale;
        scores[t] = score;
        if (score > max) max = score;
      }
      let total = 0;
      for (let t = 0; t < visible; t++) {
        const weight = Math.exp((scores[t] as number) - max);
        scores[t] = weight;
        total += weight;
      }
      // Two elements at a time through all tokens: the sums stay in registers (headDim is even).
      for (let d = offset; d < offset + headDim; d += 2) {
        let s0 = 0;
        let s1 = 0;
        for (let t = 0; t < visible; t++) {
          const weight = scores[t] as number;
          s0 += weight * (values[t * size + d] as number);
          s1 += weight * (values[t * size + d + 1] as number);
        }
        attention[i * size + d] = s0 / total;
        attention[i * size + d + 1] = s1 / total;
      }
    }
  }

  /** Rotary position embedding in the rotate-half form: element d of a head pairs with element d + headDim / 2. */
  #rotate(vectors: Float32Array, count: number): void {
    const { heads, headDim } = this.weights.config;
    const half = headDim / 2;
    for (let i = 0; i < count; i++) {
      const angles = (this.position + i) * half;
      for (let head = 0; head < heads; head++) {
        const start = (i * heads + head) * headDim;
        for (let d = 0; d < half; d++) {
          const cos = this.#cos[angles + d] as number;
          const sin = this.#sin[angles + d] as number;
          const a = vectors[start + d] as number;
          const b = vectors[start + d + half] as number;
          vectors[start + d] = a * cos - b * sin;
          vectors[start + d + half] = b * cos + a * sin;
        }
      }
    }
  }

  /** h <- down_proj(norm(relu(gate_proj h)^2 * up_proj h)) */
  #feedForward(layer: LayerWeights, work: Workspace): void {
    const { count, h, gate, up } = work;
    multiply(layer.gate, h, count, gate);
    multiply(layer.up, h, count, up);
    for (let i = 0; i < gate.length; i++) {
      const g = Math.max(gate[i] as number, 0);
      gate[i] = g * g * (up[i] as number);
    }
    rmsNorm(gate, layer.feedForwardNorm, this.weights.config.rmsNormEps, gate);
    multiply(layer.down, gate, count, h);
  }

  /** The logits after the pass's token i: the embedding's rows times the final state. */
  #unembed(work: Workspace, i: number, logits: Float32Array): Float32Array {
    const { embedding } = this.weights;
    const { hiddenSize } = this.weights.config;
    for (let token = 0; token < logits.length; token++) {
      logits[token] = dot(embedding, token * hiddenSize, work.h, i * hiddenSize, hiddenSize);
    }
    return logits;
  }
}

function multiply(matrix: Matrix, x: Float32Array, count: number, out: Float32Array): void {
  if (count === 1) matrix.gemv(x, out);
  else matrix.gemm(x, count, out);
}

/** out <- x * weight / sqrt(mean(x^2) + eps), row by row; out may be x. */
function rmsNorm(x: Float32Array, weight: Float32Array, eps: number, out: Float32Array): void {
  const size = weight.length;
  for (let row = 0; row < x.length; row += size) {
    const scale = 1 / Math.sqrt(dot(x, row, x, row, size) / size + eps);
    for (let i = 0; i < size; i++) out[row + i] = (x[row + i] as number) * scale * (weight[i] as number);
  }
}

function add(x: Float32Array, y: Float32Array): void {
  for (let i = 0; i < x.length; i++) x[i] = (x[i] as number) + (y[i] as number);
}

/** Four sums, for one sum would wait for each addition before the next. */
function dot(a: Float32Array, aStart: number, b: Float32Array, bStart: number, length: number): number {
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  let i = 0;
  for (; i + 3 < length; i += 4) {
    s0 += (a[aStart + i] as number) * (b[bStart + i] as number);
    s1 += (a[aStart + i + 1] as number) * (b[bStart + i + 1] as number);
    s2 += (a[aStart + i + 2] as number) * (b[bStart + i + 2] as number);
    s3 += (a[aStart + i + 3] as number) * (b[bStart + i + 3] as number);
  }
  for (; i < length; i++) s0 += (a[aStart + i] as number) * (b[bStart + i] as number);
  return s0 + s1 + (s2 + s3);
}
