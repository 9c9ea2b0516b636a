// A loaded model: what sessions share, and a session of its own.

import type { Activation } from "../kernels/types.ts";
import { checkChoice, checkInteger, rangeError, typeError } from "../lib/check.ts";
import { type OptionNames, readOptions } from "../lib/options.ts";
import { engineOf } from "../runtime/engine.ts";
import type { Lowbit } from "../runtime/features.ts";
import { KvCache } from "./cache.ts";
import { kvShape } from "./config.ts";
import { Decoder } from "./decoder.ts";
import { type KvKind, type KvLayout, type KvOptions, readKv } from "./kv-layout.ts";
import { ContextError, Session, type Shared } from "./session.ts";
import { BATCH } from "./step.ts";
import type { Checkpoint, Pooling } from "./tensors.ts";
import type { ModelTokenizer, Tokenizer } from "./tokenizer.ts";
import { Turns } from "./turns.ts";
import { loadWeights, type ModelWeights } from "./weights.ts";

export interface ModelInfo {
  readonly container: "gguf" | "safetensors";
  readonly architecture: string;
  readonly parameters: number;
  /** Tokens of a conversation at most. */
  readonly context: number;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly tensors: readonly { readonly name: string; readonly format: string; readonly shape: readonly number[] }[];
}

export interface EmbedOptions {
  /** Of the hidden states after the final norm: their mean, the last token's, or the first one's. Default: as the model says, or mean. */
  readonly pooling?: Pooling;
  /** To length 1; a vector of zeros stays one. Default true. */
  readonly normalize?: boolean;
  readonly signal?: AbortSignal | undefined;
}

export interface LogitsOptions {
  /** Of the tokens from this index on; default 0. */
  readonly from?: number;
  readonly signal?: AbortSignal | undefined;
  /** Told how many tokens are read. */
  readonly onProgress?: ((done: number, of: number) => void) | undefined;
}

export interface SessionOptions {
  /** What its keys and values are; default: as load() was told. */
  readonly kv?: KvKind | KvOptions;
}

const SESSION_NAMES: OptionNames<SessionOptions> = { kv: [] };
const LOGITS_NAMES: OptionNames<LogitsOptions> = { from: [], signal: [], onProgress: [] };
const EMBED_NAMES: OptionNames<EmbedOptions> = { pooling: [], normalize: ["normalise"], signal: [] };

/** A model, and the conversation that comes with it; `session()` begins another on the same weights. */
export class LanguageModel extends Session {
  readonly info: ModelInfo;
  readonly #shared: Shared;
  readonly #weights: ModelWeights;
  readonly #life: { gone: boolean };
  readonly #pooling: Pooling;

  /** @throws as loadWeights */
  static async create(
    lb: Lowbit,
    checkpoint: Checkpoint,
    tokenizer: ModelTokenizer | undefined,
    activation: Activation,
    kv: KvLayout,
    context: number | undefined,
    onProgress?: (done: number, of: number) => void,
    signal?: AbortSignal,
    formatOf?: Parameters<typeof loadWeights>[5],
  ): Promise<LanguageModel> {
    const engine = engineOf("load", lb);
    const { config } = checkpoint;
    const most = checkInteger("load: context", context ?? config.context, 1, config.context);
    const weights = await loadWeights(lb, checkpoint, activation, onProgress, signal, formatOf);
    let decoder: Decoder;
    try {
      decoder = new Decoder(engine, config, weights);
    } catch (error) {
      weights.dispose();
      throw error;
    }
    const life = { gone: false };
    const shared: Shared = {
      engine,
      config,
      decoder,
      tokenizer,
      context: most,
      kv,
      fingerprint: `${config.architecture}-${activation}-${weights.fingerprint}`,
      alive: () => {
        if (life.gone) throw new TypeError("generate: this model was disposed");
      },
    };
    const info: ModelInfo = {
      container: checkpoint.container,
      architecture: config.architecture,
      parameters: weights.parameters,
      context: most,
      metadata: checkpoint.metadata,
      tensors: [...checkpoint.tensors].map(([name, { dtype, shape }]) => ({ name, format: dtype, shape })),
    };
    return new LanguageModel(shared, weights, life, info, checkpoint.pooling ?? "mean");
  }

  private constructor(
    shared: Shared,
    weights: ModelWeights,
    life: { gone: boolean },
    info: ModelInfo,
    pooling: Pooling,
  ) {
    super(shared);
    this.#shared = shared;
    this.#weights = weights;
    this.#life = life;
    this.info = info;
    this.#pooling = pooling;
  }

  get tokenizer(): Tokenizer {
    const { tokenizer } = this.#shared;
    if (!tokenizer) throw new TypeError("model: this model came without a tokenizer");
    return tokenizer;
  }

  /**
   * Another conversation on the same weights.
   * @param saved what save() of one gave, on any machine
   * @throws TypeError, RangeError for wrong options, a state of another model, of keys and values of another kind, or a damaged one
   */
  session(saved?: Uint8Array, options: SessionOptions = {}): Session {
    this.#shared.alive();
    const { kv } = readOptions<SessionOptions>("session", options, SESSION_NAMES);
    return new Session(this.#shared, saved, kv === undefined ? this.#shared.kv : readKv("session: kv", kv));
  }

  /**
   * The logits [tokens - from][vocabulary] after each token, as the model computes them when it generates: for perplexities and for
   * comparisons with a reference. Conversations are left alone.
   *
   * @throws TypeError, RangeError for wrong options or a prompt that is none; ContextError for one that is too long; the reason
   * of an aborted signal
   */
  async logits(prompt: string | ArrayLike<number>, options: LogitsOptions = {}): Promise<Float32Array> {
    this.#shared.alive();
    const { from = 0, signal, onProgress } = readOptions<LogitsOptions>("logits", options, LOGITS_NAMES);
    if (onProgress !== undefined && typeof onProgress !== "function")
      throw typeError("logits: onProgress", "a function", onProgress);
    const { engine, config, decoder, context, kv } = this.#shared;
    const { vocabulary } = config;
    const tokens = this.tokenize(prompt);
    const { length } = tokens;
    if (length > context) {
      throw new ContextError(
        `logits: prompt: expected at most ${context} tokens, the context of this model, got ${length}`,
      );
    }
    checkInteger("logits: from", from, 0, length - 1);
    const turns = new Turns(12);
    const out = new Float32Array((length - from) * vocabulary);
    const cache = new KvCache(engine, kvShape(config), kv);
    try {
      for (let at = 0; at < length; at += BATCH) {
        signal?.throwIfAborted();
        onProgress?.(at, length);
        this.#shared.alive();
        const part = tokens.slice(at, at + BATCH);
        decoder.forward(cache, part, at, length);
        for (let i = Math.max(0, from - at); i < part.length; i++) {
          out.set(decoder.logits(i), (at + i - from) * vocabulary);
        }
        await turns.maybe();
      }
    } finally {
      cache.dispose();
    }
    onProgress?.(length, length);
    return out;
  }

  /** A vector [hidden] for each text, which does not depend on the others. */
  async embed(texts: readonly string[], options: EmbedOptions = {}): Promise<Float32Array[]> {
    const given = readOptions<EmbedOptions>("embed", options, EMBED_NAMES);
    const { normalize = true, signal } = given;
    const pooling = checkChoice("embed: pooling", given.pooling ?? this.#pooling, ["mean", "last", "cls"]);
    if (!Array.isArray(texts)) throw typeError("embed: texts", "an array of strings", texts);
    const turns = new Turns(12);
    const vectors: Float32Array[] = [];
    for (const [i, text] of texts.entries()) {
      if (typeof text !== "string") throw typeError(`embed: texts[${i}]`, "a string", text);
      signal?.throwIfAborted();
      vectors.push(this.#embed(i, text, pooling, normalize));
      await turns.maybe();
    }
    return vectors;
  }

  #embed(index: number, text: string, pooling: Pooling, normalize: boolean): Float32Array {
    this.#shared.alive();
    const { engine, config, decoder, context } = this.#shared;
    const { hidden } = config;
    const tokens = this.tokenizer.encode(text);
    const where = `embed: texts[${index}]`;
    if (tokens.length === 0) throw rangeError(where, "at least one token", "none");
    if (tokens.length > context) throw rangeError(where, `at most ${context} tokens`, String(tokens.length));
    const sums = new Float64Array(hidden);
    const cache = new KvCache(engine, kvShape(config), readKv("embed", "f32"));
    try {
      for (let at = 0; at < tokens.length; at += BATCH) {
        const part = tokens.subarray(at, at + BATCH);
        decoder.forward(cache, part, at, tokens.length);
        const start = decoder.normed(0, part.length) / 4;
        for (let token = 0; token < part.length; token++) {
          const place = at + token;
          const counts = pooling === "mean" || place === (pooling === "cls" ? 0 : tokens.length - 1);
          if (!counts) continue;
          for (let j = 0; j < hidden; j++) {
            sums[j] = (sums[j] as number) + (engine.arena.floats[start + token * hidden + j] as number);
          }
        }
      }
    } finally {
      cache.dispose();
    }
    const count = pooling === "mean" ? tokens.length : 1;
    const length = normalize ? Math.sqrt(sums.reduce((sum, v) => sum + (v / count) * (v / count), 0)) || 1 : 1;
    return Float32Array.from(sums, (v) => v / count / length);
  }

  /** Gives all memory back; sessions of this model end. */
  override dispose(): void {
    if (this.#life.gone) return;
    super.dispose();
    this.#life.gone = true;
    this.#shared.decoder.dispose();
    this.#weights.dispose();
  }
}
