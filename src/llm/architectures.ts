// The decoders that are known: one row each. What is not said is that of Llama.
import { nearest } from "../lib/options.ts";
import type { Act } from "./config.ts";
import {
  AFTER_NAMES,
  GPT_OSS_NAMES,
  HF_NAMES,
  type Names,
  NEOX_NAMES,
  ONE_NORM_NAMES,
  SANDWICH_NAMES,
} from "./names.ts";

export interface Architecture {
  /** `model_type` of config.json. */
  readonly hf: readonly string[];
  /** `general.architecture` of GGUF files. */
  readonly gguf: readonly string[];
  readonly norm: "rms" | "layer";
  readonly names: Names;
  /** Whether rotary embedding turns neighbours, or numbers that are half a head apart; in GGUF files rows may be permuted. */
  readonly pairs: boolean;
  readonly ggufPairs: boolean;
  /** Whether checkpoints store norms less 1; GGUF files do not. */
  readonly onePlus: boolean;
  /** Whether attention and feed-forward block both read what came in; undefined: as `use_parallel_residual` says. */
  readonly parallel: boolean | undefined;
  /** In place of `hidden_act`. */
  readonly act?: Act;
  /** Every so manieth layer differs where the file does not say it: the last of each so many. */
  readonly globalEvery?: number;
  readonly noRopeEvery?: number;
  /** Layers that see everything are not rotated where others have a window. */
  readonly globalWithoutRope?: boolean;
  /** q, k and v of a head follow each other in the fused tensor. */
  readonly headwise?: boolean;
  /** gate and up of experts take turns, and their matrices are transposed. */
  readonly interleaved?: boolean;
  readonly routing?: 0 | 1 | 2;
  /** Embeddings are multiplied by √hidden. */
  readonly scaledEmbedding?: boolean;
}

const LLAMA: Architecture = {
  hf: ["llama"],
  gguf: ["llama"],
  norm: "rms",
  names: HF_NAMES,
  pairs: false,
  ggufPairs: false,
  onePlus: false,
  parallel: false,
};

const GEMMA = { onePlus: true, scaledEmbedding: true, names: SANDWICH_NAMES, act: "gelu_tanh" } as const;

export const architectures: Readonly<Record<string, Architecture>> = {
  llama: { ...LLAMA, ggufPairs: true },
  mistral: { ...LLAMA, hf: ["mistral"], gguf: ["mistral3"], ggufPairs: true },
  qwen2: { ...LLAMA, hf: ["qwen2"], gguf: ["qwen2"] },
  qwen3: { ...LLAMA, hf: ["qwen3"], gguf: ["qwen3"] },
  qwen3moe: { ...LLAMA, hf: ["qwen3_moe"], gguf: ["qwen3moe"], routing: 1 },
  phi3: { ...LLAMA, hf: ["phi3"], gguf: ["phi3"] },
  gemma2: { ...LLAMA, ...GEMMA, hf: ["gemma2"], gguf: ["gemma2"], globalEvery: 2 },
  gemma3: { ...LLAMA, ...GEMMA, hf: ["gemma3_text", "gemma3"], gguf: ["gemma3"], globalEvery: 6 },
  smollm3: { ...LLAMA, hf: ["smollm3"], gguf: ["smollm3"], ggufPairs: true, noRopeEvery: 4 },
  olmo2: { ...LLAMA, hf: ["olmo2"], gguf: ["olmo2"], names: AFTER_NAMES },
  granite: { ...LLAMA, hf: ["granite"], gguf: ["granite"], ggufPairs: true },
  bitnet: { ...LLAMA, hf: ["bitnet"], gguf: ["bitnet", "bitnet-25", "bitnet-b1.58"], act: "relu2" },
  gptneox: {
    ...LLAMA,
    hf: ["gpt_neox"],
    gguf: ["gptneox"],
    norm: "layer",
    names: NEOX_NAMES,
    parallel: undefined,
    headwise: true,
  },
  stablelm: { ...LLAMA, hf: ["stablelm"], gguf: ["stablelm"], norm: "layer", parallel: undefined },
  cohere: {
    ...LLAMA,
    hf: ["cohere"],
    gguf: ["command-r"],
    norm: "layer",
    names: ONE_NORM_NAMES,
    pairs: true,
    ggufPairs: true,
    parallel: true,
  },
  helium: { ...LLAMA, hf: ["helium"], gguf: [], pairs: true },
  ernie4_5: { ...LLAMA, hf: ["ernie4_5"], gguf: ["ernie4_5"], pairs: true, ggufPairs: true },
  exaone4: {
    ...LLAMA,
    hf: ["exaone4"],
    gguf: ["exaone4"],
    names: AFTER_NAMES,
    globalWithoutRope: true,
    globalEvery: 4,
  },
  gptoss: {
    ...LLAMA,
    hf: ["gpt_oss"],
    gguf: ["gpt-oss"],
    names: GPT_OSS_NAMES,
    act: "clamped",
    interleaved: true,
    globalEvery: 2,
    routing: 2,
  },
};

/**
 * The row of a name.
 *
 * @throws RangeError for one that is not known, with the nearest that is
 */
export function architectureOf(where: string, kind: "hf" | "gguf", name: unknown): [name: string, row: Architecture] {
  const found = Object.entries(architectures).find(([, row]) => row[kind].includes(String(name)));
  if (found) return found;
  const known = Object.values(architectures).flatMap((row) => row[kind]);
  const near = typeof name === "string" ? nearest(name, known) : undefined;
  const hint = near === undefined ? "" : ` (did you mean ${JSON.stringify(near)}?)`;
  throw new RangeError(
    `${where}: architecture: expected one of ${known.join(", ")}${hint}, got ${JSON.stringify(name)?.slice(0, 80)}`,
  );
}
