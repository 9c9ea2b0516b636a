// What a decoder is, whatever container it came in.

import { rangeError } from "../lib/check.ts";
import type { KvShape } from "./cache.ts";

/** How hidden states become the gate of a feed-forward block, in the order of assembly/model/gate.ts. */
export const ACTS = ["silu", "gelu_tanh", "gelu", "relu2", "relu", "clamped"] as const;
export type Act = (typeof ACTS)[number];

/** Frequencies of a rotary embedding (Su et al., arXiv:2104.09864) and how they are stretched. */
export interface RopeConfig {
  readonly theta: number;
  /** Numbers of a head that are rotated: the first ones. */
  readonly turned: number;
  readonly type: "default" | "linear" | "dynamic" | "llama3" | "yarn" | "longrope";
  readonly factor: number;
  /** Positions that the model was trained with before it was stretched. */
  readonly original: number;
  /** What cosines and sines are multiplied by; undefined: what the type says. */
  readonly attention?: number | undefined;
  readonly lowFrequency: number;
  readonly highFrequency: number;
  readonly betaFast: number;
  readonly betaSlow: number;
  readonly truncate: boolean;
  readonly mscale: number;
  readonly mscaleAll: number;
  readonly short?: readonly number[] | undefined;
  readonly long?: readonly number[] | undefined;
  /** Divisors of the frequencies [turned / 2], as GGUF files of llama3 scaling have them. */
  readonly divisors?: readonly number[] | undefined;
}

export interface LayerConfig {
  /** Most tokens that one sees, itself included; 0: all. */
  readonly window: number;
  /** Which of `ropes` rotates queries and keys; -1: none. */
  readonly rope: number;
  readonly experts: boolean;
}

export interface ExpertsConfig {
  readonly count: number;
  readonly used: number;
  /** Weights of the chosen: softmax over all, that made to sum to 1, or softmax over the chosen ones (assembly/model/route.ts). */
  readonly routing: 0 | 1 | 2;
  readonly width: number;
}

/** Kernels take four numbers at a time, and each KV head serves as many queries as the others. */
export function checkSizes(sizes: Readonly<Record<string, number>> & { heads: number; kvHeads: number }): void {
  const { heads, kvHeads, ...others } = sizes;
  for (const [name, size] of Object.entries(others)) {
    if (!(size > 0 && size % 4 === 0)) throw rangeError(`config: ${name}`, "a positive multiple of 4", size);
  }
  if (!(kvHeads > 0 && heads % kvHeads === 0))
    throw rangeError("config: heads", `a multiple of the ${kvHeads} KV heads`, heads);
}

export interface ModelConfig {
  /** The row of `architectures`. */
  readonly architecture: string;
  readonly hidden: number;
  readonly width: number;
  readonly vocabulary: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headSize: number;
  readonly context: number;
  readonly eps: number;
  readonly act: Act;
  readonly layers: readonly LayerConfig[];
  readonly ropes: readonly RopeConfig[];
  readonly attentionScale: number;
  /** Scores are cap · tanh(score / cap); 0: as they are. */
  readonly attentionCap: number;
  readonly logitCap: number;
  readonly embeddingScale: number;
  readonly residualScale: number;
  readonly logitScale: number;
  readonly tied: boolean;
  /** Whether rotary embedding turns neighbours (2i, 2i + 1), or numbers that are half of what is turned apart. */
  readonly pairs: boolean;
  /** Whether attention and feed-forward block both read what came in. */
  readonly parallel: boolean;
  readonly experts?: ExpertsConfig | undefined;
  /** Ids of tokens that end a text. */
  readonly ends: readonly number[];
}

/** What a cache of keys and values of such a model holds. */
export function kvShape({ layers, kvHeads, headSize }: ModelConfig): KvShape {
  return { layers: layers.length, kvHeads, headSize };
}
