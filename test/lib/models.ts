// Language models of checkpoints.ts, loaded as a user loads them.
import type { Lowbit } from "../../src/index.ts";
import { type LanguageModel, type LoadOptions, load } from "../../src/llm/index.ts";
import { fixture } from "./checkpoints.ts";

const LLAMA = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"] as const;

/** The one that was trained. */
export function loadLlama(lb: Lowbit, options: LoadOptions = {}): Promise<LanguageModel> {
  return load(lb, Object.fromEntries(LLAMA.map((name) => [name, fixture(`llama/${name}`)])), options);
}

/** One of archs/, which has no tokenizer. */
export function loadArchitecture(lb: Lowbit, name: string): Promise<LanguageModel> {
  const files = ["config.json", "model.safetensors"];
  return load(lb, Object.fromEntries(files.map((file) => [file, fixture(`archs/${name}/${file}`)])));
}
