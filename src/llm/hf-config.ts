// config.json as transformers 4 and 5 write it.
import { rangeError, typeError } from "../lib/check.ts";
import { type Architecture, architectureOf } from "./architectures.ts";
import {
  type Act,
  checkSizes,
  type ExpertsConfig,
  type LayerConfig,
  type ModelConfig,
  type RopeConfig,
} from "./config.ts";

type Json = Readonly<Record<string, unknown>>;

const HF_ACTS: Readonly<Record<string, Act>> = {
  silu: "silu",
  swish: "silu",
  gelu: "gelu",
  gelu_new: "gelu_tanh",
  gelu_fast: "gelu_tanh",
  gelu_pytorch_tanh: "gelu_tanh",
  relu: "relu",
  relu2: "relu2",
};

/** Reads members of a JSON object with their types. */
class Reader {
  readonly #json: Json;

  constructor(json: Json) {
    this.#json = json;
  }

  /** The first of these names that is there and not null. */
  any(...names: string[]): unknown {
    for (const name of names) {
      const value = Object.hasOwn(this.#json, name) ? this.#json[name] : undefined;
      if (value !== undefined && value !== null) return value;
    }
    return undefined;
  }

  number(fallback: number | undefined, ...names: string[]): number {
    const value = this.any(...names) ?? fallback;
    if (typeof value !== "number" || !Number.isFinite(value))
      throw typeError(`config: ${names[0]}`, "a finite number", value);
    return value;
  }

  integer(fallback: number | undefined, ...names: string[]): number {
    const value = this.number(fallback, ...names);
    if (!Number.isInteger(value) || value < 0 || value > 2 ** 31)
      throw rangeError(`config: ${names[0]}`, "a whole number", value);
    return value;
  }

  flag(fallback: boolean, ...names: string[]): boolean {
    const value = this.any(...names) ?? fallback;
    if (typeof value !== "boolean") throw typeError(`config: ${names[0]}`, "true or false", value);
    return value;
  }

  list(name: string): readonly unknown[] | undefined {
    const value = this.any(name);
    if (value !== undefined && !Array.isArray(value)) throw typeError(`config: ${name}`, "an array", value);
    return value as readonly unknown[] | undefined;
  }

  object(name: string): Json | undefined {
    const value = this.any(name);
    if (value !== undefined && (typeof value !== "object" || Array.isArray(value))) {
      throw typeError(`config: ${name}`, "an object", value);
    }
    return value as Json | undefined;
  }
}

/**
 * @param json config.json, and generation_config.json if there is one
 * @throws TypeError, RangeError for what is missing, of a wrong type, or not known
 */
export function configFromHf(json: Json, generation: Json = {}): ModelConfig {
  const outer = new Reader(json);
  const [architecture, row] = architectureOf("config", "hf", outer.any("model_type"));
  // Models of images and text keep that of the text in a part of its own.
  const text = outer.object("text_config");
  const c = text ? new Reader(text) : outer;
  const hidden = c.integer(undefined, "hidden_size");
  const heads = c.integer(undefined, "num_attention_heads");
  const count = c.integer(undefined, "num_hidden_layers");
  const headSize = c.integer(hidden / heads, "head_dim");
  const context = c.integer(2048, "max_position_embeddings");
  const ropes = readRopes(c, headSize, context);
  const experts = readExperts(c, row);
  const width = c.integer(undefined, "intermediate_size");
  const kvHeads = c.integer(heads, "num_key_value_heads");
  checkSizes({ hidden, width, headSize, heads, kvHeads, expertWidth: experts?.width ?? 4 });
  return {
    architecture,
    hidden,
    width,
    vocabulary: c.integer(undefined, "vocab_size"),
    heads,
    kvHeads,
    headSize,
    context,
    eps: c.number(1e-6, "rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon"),
    act: row.act ?? readAct(c),
    layers: readLayers(c, row, count, ropes.length, experts !== undefined),
    ropes,
    attentionScale:
      c.any("attention_multiplier") === undefined
        ? 1 / Math.sqrt(c.number(headSize, "query_pre_attn_scalar"))
        : c.number(undefined, "attention_multiplier"),
    attentionCap: c.number(0, "attn_logit_softcapping"),
    logitCap: c.number(0, "final_logit_softcapping"),
    embeddingScale: row.scaledEmbedding ? Math.sqrt(hidden) : c.number(1, "embedding_multiplier"),
    residualScale: c.number(1, "residual_multiplier"),
    logitScale: c.any("logit_scale") === undefined ? 1 / c.number(1, "logits_scaling") : c.number(1, "logit_scale"),
    tied: c.flag(architecture.startsWith("gemma") || architecture === "cohere", "tie_word_embeddings"),
    pairs: row.pairs,
    parallel: row.parallel ?? c.flag(architecture === "gptneox", "use_parallel_residual"),
    experts,
    ends: readEnds(c, new Reader(generation)),
  };
}

function readAct(c: Reader): Act {
  const name = c.any("hidden_act", "hidden_activation", "activation_function") ?? "silu";
  const act = typeof name === "string" && Object.hasOwn(HF_ACTS, name) ? HF_ACTS[name] : undefined;
  if (act === undefined) throw rangeError("config: hidden_act", Object.keys(HF_ACTS).join(" | "), JSON.stringify(name));
  return act;
}

function readEnds(...readers: Reader[]): number[] {
  const ends = readers.flatMap((reader) => reader.any("eos_token_id") ?? []);
  return [...new Set(ends.filter((id): id is number => Number.isInteger(id)))];
}

function readExperts(c: Reader, { routing }: Architecture): ExpertsConfig | undefined {
  const count = c.integer(0, "num_local_experts", "num_experts");
  if (count === 0 || routing === undefined) return undefined;
  return {
    count,
    used: c.integer(undefined, "num_experts_per_tok", "experts_per_token"),
    routing: routing === 1 && !c.flag(false, "norm_topk_prob") ? 0 : routing,
    width: c.integer(c.integer(undefined, "intermediate_size"), "moe_intermediate_size"),
  };
}

function readLayers(c: Reader, row: Architecture, count: number, ropes: number, moe: boolean): LayerConfig[] {
  const types = c.list("layer_types");
  const window = c.flag(true, "use_sliding_window") ? c.integer(0, "sliding_window") : 0;
  const rotated = c.list("no_rope_layers");
  const every = c.integer(row.globalEvery ?? 0, "sliding_window_pattern", "_sliding_window_pattern");
  const dense = c.list("mlp_only_layers") ?? [];
  const step = c.integer(1, "decoder_sparse_step");
  return Array.from({ length: count }, (_, i) => {
    const sliding =
      types === undefined ? window > 0 && (every === 0 || (i + 1) % every !== 0) : types[i] === "sliding_attention";
    const turns =
      rotated === undefined ? row.noRopeEvery === undefined || (i + 1) % row.noRopeEvery !== 0 : rotated[i] === 1;
    const unrotated = !turns || (row.globalWithoutRope === true && window > 0 && !sliding);
    return {
      window: sliding ? window : 0,
      rope: unrotated ? -1 : sliding && ropes > 1 ? 1 : 0,
      experts: moe && !dense.includes(i) && (i + 1) % step === 0,
    };
  });
}

// One for all, or one for layers that see everything and one for those with a window.
function readRopes(c: Reader, headSize: number, context: number): RopeConfig[] {
  const given = c.object("rope_parameters");
  const old = c.object("rope_scaling");
  const kinds = given ?? old ?? {};
  const of = (name: string): Json | undefined => {
    const value = Object.hasOwn(kinds, name) ? kinds[name] : undefined;
    return typeof value === "object" && value !== null ? (value as Json) : undefined;
  };
  const full = of("full_attention");
  const local = of("sliding_attention");
  if (full) {
    const ropes = [readRope(c, new Reader(full), headSize, context)];
    if (local) ropes.push(readRope(c, new Reader(local), headSize, context));
    return ropes;
  }
  const ropes = [readRope(c, new Reader(kinds), headSize, context)];
  if (c.any("rope_local_base_freq") !== undefined) {
    const theta = c.number(undefined, "rope_local_base_freq");
    ropes.push({ ...readRope(c, new Reader({}), headSize, context), theta });
  }
  return ropes;
}

const ROPE_TYPES = ["default", "linear", "dynamic", "llama3", "yarn", "longrope"] as const;

function readRope(c: Reader, r: Reader, headSize: number, context: number): RopeConfig {
  // Phi-3 called it "su" first.
  const name = r.any("rope_type", "type") ?? "default";
  const type = name === "su" ? "longrope" : ROPE_TYPES.find((one) => one === name);
  if (type === undefined) throw rangeError("config: rope_type", ROPE_TYPES.join(" | "), JSON.stringify(name));
  const part = r.any("partial_rotary_factor") === undefined ? c : r;
  const original = r.integer(
    c.integer(context, "original_max_position_embeddings"),
    "original_max_position_embeddings",
  );
  const numbers = (key: string): number[] | undefined => r.list(key)?.map(Number);
  const attention = r.any("attention_factor");
  const short = numbers("short_factor");
  const long = numbers("long_factor");
  const turned = Math.floor(headSize * part.number(1, "partial_rotary_factor", "rotary_pct"));
  for (const factors of [short, long]) {
    if (factors && (factors.length !== turned / 2 || !factors.every((factor) => factor > 0))) {
      throw rangeError(
        "config: long_factor and short_factor",
        `${turned / 2} positive numbers`,
        String(factors.length),
      );
    }
  }
  return {
    theta: r.number(c.number(10000, "rope_theta", "rotary_emb_base"), "rope_theta"),
    turned,
    type,
    factor: r.number(type === "longrope" ? context / original : 1, "factor"),
    original: type === "dynamic" ? context : original,
    attention: typeof attention === "number" ? attention : undefined,
    lowFrequency: r.number(1, "low_freq_factor"),
    highFrequency: r.number(4, "high_freq_factor"),
    betaFast: r.number(32, "beta_fast"),
    betaSlow: r.number(1, "beta_slow"),
    truncate: r.flag(true, "truncate"),
    mscale: r.number(0, "mscale"),
    mscaleAll: r.number(0, "mscale_all_dim"),
    short,
    long,
  };
}
