// What the parts of a decoder are called. A name is that of a module: its tensors are `<name>.weight` and `<name>.bias`.

export interface LayerNames {
  readonly attnNorm?: string;
  readonly q: string;
  readonly k: string;
  readonly v: string;
  /** q, k and v in one. */
  readonly qkv: string;
  readonly o: string;
  readonly qNorm: string;
  readonly kNorm: string;
  /** [heads], without ".weight" in HF checkpoints. */
  readonly sinks: string;
  /** Before o. */
  readonly attnSub: string;
  /** After o. */
  readonly postAttn?: string;
  readonly ffnNorm?: string;
  readonly gate: string;
  readonly up: string;
  readonly gateUp: string;
  readonly down: string;
  /** Before down. */
  readonly ffnSub: string;
  /** After down. */
  readonly postFfn?: string;
  readonly router: string;
}

export interface Names extends LayerNames {
  readonly embedding: string;
  readonly norm: string;
  readonly head: string;
  /** With "{}" for the number. */
  readonly layer: string;
}

/** As transformers calls them in most models. */
export const HF_NAMES: Names = {
  embedding: "model.embed_tokens",
  norm: "model.norm",
  head: "lm_head",
  layer: "model.layers.{}.",
  attnNorm: "input_layernorm",
  q: "self_attn.q_proj",
  k: "self_attn.k_proj",
  v: "self_attn.v_proj",
  qkv: "self_attn.qkv_proj",
  o: "self_attn.o_proj",
  qNorm: "self_attn.q_norm",
  kNorm: "self_attn.k_norm",
  sinks: "self_attn.sinks",
  attnSub: "self_attn.attn_sub_norm",
  ffnNorm: "post_attention_layernorm",
  gate: "mlp.gate_proj",
  up: "mlp.up_proj",
  gateUp: "mlp.gate_up_proj",
  down: "mlp.down_proj",
  ffnSub: "mlp.ffn_sub_norm",
  router: "mlp.gate",
};

/** As GGUF files call them. */
export const GGUF_NAMES: Names = {
  embedding: "token_embd",
  norm: "output_norm",
  head: "output",
  layer: "blk.{}.",
  attnNorm: "attn_norm",
  q: "attn_q",
  k: "attn_k",
  v: "attn_v",
  qkv: "attn_qkv",
  o: "attn_output",
  qNorm: "attn_q_norm",
  kNorm: "attn_k_norm",
  sinks: "attn_sinks",
  attnSub: "attn_sub_norm",
  ffnNorm: "ffn_norm",
  gate: "ffn_gate",
  up: "ffn_up",
  gateUp: "ffn_up",
  down: "ffn_down",
  ffnSub: "ffn_sub_norm",
  router: "ffn_gate_inp",
};

/** Norms of both sides of each block (Gemma 2). */
const SANDWICH = {
  postAttn: "post_attention_layernorm",
  ffnNorm: "pre_feedforward_layernorm",
  postFfn: "post_feedforward_layernorm",
} as const;

/** Norms after each block only (OLMo 2). */
const AFTER = { postAttn: "post_attention_layernorm", postFfn: "post_feedforward_layernorm" } as const;

const { attnNorm: _attn, ffnNorm: _ffn, ...unnormed } = HF_NAMES;
const { ffnNorm: _one, ...oneNorm } = HF_NAMES;

export const SANDWICH_NAMES: Names = { ...HF_NAMES, ...SANDWICH };
export const AFTER_NAMES: Names = { ...unnormed, ...AFTER };
/** One norm for both blocks (Cohere). */
export const ONE_NORM_NAMES: Names = oneNorm;
export const GPT_OSS_NAMES: Names = { ...HF_NAMES, router: "mlp.router" };
export const NEOX_NAMES: Names = {
  ...HF_NAMES,
  embedding: "gpt_neox.embed_in",
  norm: "gpt_neox.final_layer_norm",
  head: "embed_out",
  layer: "gpt_neox.layers.{}.",
  qkv: "attention.query_key_value",
  o: "attention.dense",
  up: "mlp.dense_h_to_4h",
  down: "mlp.dense_4h_to_h",
};
