// The configuration of a GGUF file: keys that begin with the name of the architecture, and a few tensors.
import type { FileTensor, GgufValue } from "../files/index.ts";
import { rangeError } from "../lib/check.ts";
import { type Architecture, architectureOf } from "./architectures.ts";
import { checkSizes, type LayerConfig, type ModelConfig, type RopeConfig } from "./config.ts";

export type Metadata = ReadonlyMap<string, GgufValue>;

/** Values as numbers, texts and arrays; whole numbers of 64 bits as bigints. */
export function plainMetadata(metadata: Metadata): Readonly<Record<string, unknown>> {
  return Object.fromEntries([...metadata].map(([key, { value }]) => [key, value]));
}

class Keys {
  readonly #metadata: Metadata;
  readonly #prefix: string;

  constructor(metadata: Metadata, prefix: string) {
    this.#metadata = metadata;
    this.#prefix = prefix;
  }

  text(key: string): string | undefined {
    const value = this.#metadata.get(this.#prefix + key)?.value;
    return typeof value === "string" ? value : undefined;
  }

  /** A number of any width; of an array of one a layer, which must be the same, the first. */
  number(key: string, fallback?: number): number {
    const value = this.#metadata.get(this.#prefix + key)?.value;
    let number: unknown = value;
    if (typeof value === "object" && value !== null && "length" in value) {
      const list = Array.from(value as ArrayLike<unknown>);
      if (list.some((one) => one !== list[0]))
        throw rangeError(`load: ${this.#prefix}${key}`, "the same for all layers", "others");
      number = list[0];
    }
    if (typeof number === "bigint") number = Number(number);
    if (typeof number === "number" && Number.isFinite(number)) return number;
    if (value !== undefined || fallback === undefined) {
      throw rangeError(
        `load: ${this.#prefix}${key}`,
        "a number",
        value === undefined ? "none" : String(value).slice(0, 40),
      );
    }
    return fallback;
  }
}

const ROPE_TYPES = ["linear", "yarn", "longrope"] as const;

/** @throws RangeError for what is missing, of a wrong type, or not known */
export function configFromGguf(metadata: Metadata, tensors: ReadonlyMap<string, FileTensor>): ModelConfig {
  const name = metadata.get("general.architecture")?.value;
  const [architecture, row] = architectureOf("load", "gguf", name);
  if (tensors.size === 0)
    throw rangeError("load: source", "a model", "a vocabulary alone: the GGUF file has no tensors");
  const keys = new Keys(metadata, `${String(name)}.`);
  const hidden = keys.number("embedding_length");
  const heads = keys.number("attention.head_count");
  const kvHeads = keys.number("attention.head_count_kv", heads);
  const headSize = keys.number("attention.key_length", hidden / heads);
  if (keys.number("attention.value_length", headSize) !== headSize) {
    throw rangeError("load: attention.value_length", `${headSize}, as keys are`, keys.number("attention.value_length"));
  }
  const width = keys.number("feed_forward_length");
  const count = keys.number("expert_count", 0);
  const routed = keys.number("expert_feed_forward_length", width);
  checkSizes({ hidden, width, headSize, heads, kvHeads, expertWidth: count > 0 ? routed : 4 });
  const [vocabulary] = tensors.get("token_embd.weight")?.shape ?? [];
  if (vocabulary === undefined) throw rangeError("load: token_embd.weight", "a tensor of that name", "none");
  const logitScale = keys.number("logit_scale", 1);
  const context = keys.number("context_length");
  const ropes = [ropeOf(keys, row, tensors, headSize, context)];
  const local =
    architecture === "gemma3"
      ? { ...(ropes[0] as RopeConfig), type: "default", theta: keys.number("rope.freq_base_swa", 10000) }
      : undefined;
  if (local) ropes.push(local as RopeConfig);
  return {
    architecture,
    hidden,
    width,
    vocabulary,
    heads,
    kvHeads,
    headSize,
    context,
    eps: keys.number("attention.layer_norm_rms_epsilon", keys.number("attention.layer_norm_epsilon", 1e-5)),
    act: row.act ?? (architecture === "gptneox" ? "gelu" : "silu"),
    layers: layersOf(keys, row, keys.number("block_count"), ropes.length, count > 0),
    ropes,
    attentionScale: keys.number("attention.scale", 1 / Math.sqrt(headSize)),
    attentionCap: keys.number("attn_logit_softcapping", architecture === "gemma2" ? 50 : 0),
    logitCap: keys.number("final_logit_softcapping", architecture === "gemma2" ? 30 : 0),
    embeddingScale: row.scaledEmbedding ? Math.sqrt(hidden) : keys.number("embedding_scale", 1),
    residualScale: keys.number("residual_scale", 1),
    // Granite's divides.
    logitScale: architecture === "granite" ? 1 / logitScale : logitScale,
    tied: !tensors.has("output.weight"),
    pairs: row.ggufPairs,
    parallel: row.parallel ?? metadata.get(`${String(name)}.use_parallel_residual`)?.value === true,
    experts:
      count > 0 && row.routing !== undefined
        ? { count, used: keys.number("expert_used_count"), routing: row.routing, width: routed }
        : undefined,
    ends: endsOf(metadata),
  };
}

function layersOf(keys: Keys, row: Architecture, count: number, ropes: number, experts: boolean): LayerConfig[] {
  const window = keys.number("attention.sliding_window", 0);
  return Array.from({ length: count }, (_, i) => {
    const sliding = window > 0 && (row.globalEvery === undefined || (i + 1) % row.globalEvery !== 0);
    const still = row.noRopeEvery !== undefined && (i + 1) % row.noRopeEvery === 0;
    const unrotated = still || (row.globalWithoutRope === true && window > 0 && !sliding);
    return { window: sliding ? window : 0, rope: unrotated ? -1 : sliding && ropes > 1 ? 1 : 0, experts };
  });
}

function ropeOf(
  keys: Keys,
  row: Architecture,
  tensors: ReadonlyMap<string, FileTensor>,
  headSize: number,
  context: number,
): RopeConfig {
  const scaling = keys.text("rope.scaling.type") ?? "none";
  const long = tensors.has("rope_factors_long.weight");
  const type = long ? "longrope" : ROPE_TYPES.find((one) => one === scaling);
  if (type === undefined && scaling !== "none")
    throw rangeError("load: rope.scaling.type", ROPE_TYPES.join(" | "), scaling);
  const original = keys.number("rope.scaling.original_context_length", context);
  const attention = keys.number("rope.scaling.attn_factor", 0);
  return {
    theta: keys.number("rope.freq_base", 10000),
    turned: keys.number("rope.dimension_count", headSize),
    type: type ?? "default",
    factor: keys.number("rope.scaling.factor", type === "longrope" ? context / original : 1),
    original,
    // Of yarn it multiplies what the factor says.
    attention: type === "longrope" && attention > 0 ? attention : undefined,
    lowFrequency: 1,
    highFrequency: 4,
    betaFast: keys.number("rope.scaling.yarn_beta_fast", 32),
    betaSlow: keys.number("rope.scaling.yarn_beta_slow", 1),
    truncate: row.interleaved !== true,
    mscale: 0,
    mscaleAll: 0,
  };
}

function endsOf(metadata: Metadata): number[] {
  const keys = new Keys(metadata, "tokenizer.ggml.");
  const ids = ["eos_token_id", "eot_token_id", "eom_token_id"].map((key) => keys.number(key, -1));
  return [...new Set(ids.filter((id) => id >= 0))];
}
