// Models that tests run: a few are in test/llm/fixtures, all of them in the reference material beside the checkout, where it is
// there.
import { existsSync, readFileSync } from "node:fs";
import { parseSafetensors } from "../../src/files/index.ts";
import { configFromHf } from "../../src/llm/hf-config.ts";
import type { Checkpoint } from "../../src/llm/tensors.ts";
import type { Suite } from "./suite.ts";

const own = new URL("../llm/fixtures/", import.meta.url);
const shared = new URL("../../../shared/", import.meta.url);

// Where ../shared has what a path of the fixtures begins with; the first that fits counts.
const places: readonly (readonly [beginning: RegExp, folder: string])[] = [
  [/^archs\//, "hf-zoo/archs/"],
  [/^llama\/(?=config\.json$|greedy\.json$|model\.safetensors$)/, "hf-zoo/llama/"],
  [/^llama\//, "hf-zoo/tok/bpe/"],
  [/^gguf\/(?=tokens-|vocab-)/, "gguf/gguf-zoo/"],
  [/^gguf\//, "gguf/gguf-archs/"],
];

function urlOf(path: string): URL {
  const url = new URL(path, own);
  const place = places.find(([beginning]) => beginning.test(path));
  return existsSync(url) || !place ? url : new URL(path.replace(...place), shared);
}

export const fixture = (path: string): Buffer => readFileSync(urlOf(path));
export const fixtureJson = <T>(path: string): T => JSON.parse(fixture(path).toString()) as T;

/** `t`, or where one of these files is absent, what skips each case and says which file it lacks. */
export function needing(t: Suite, ...paths: readonly string[]): Suite {
  const absent = paths.find((path) => !existsSync(urlOf(path)));
  if (absent === undefined) return t;
  const skip = (name: string): void => t.skip(name, `${absent} is neither in test/llm/fixtures nor in ../shared`);
  return Object.assign(skip, { skip: t.skip, before: t.before, after: t.after });
}

/** The folders of archs/: a fixed list, so that one that is absent is seen to be skipped. */
export const architectureNames: readonly string[] = [
  ...["bitnet", "cohere", "ernie4_5", "exaone4", "gemma2", "gemma3", "gpt-neox", "gpt-oss", "granite", "helium"],
  ...["llama", "llama-linear-rope-bias", "llama-yarn", "llama3-rope", "mistral-window", "olmo2", "phi3", "qwen2"],
  ...["qwen3", "qwen3-moe", "smollm3", "stablelm"],
];

/** The files of a checkpoint, for `needing`. */
export const filesOf = (folder: string): string[] =>
  ["config", "model", "reference"].map((name) => `${folder}/${name}.${name === "config" ? "json" : "safetensors"}`);

/** The weights of the model that was trained. */
export const TRAINED = "llama/model.safetensors";

/** A folder with config.json and model.safetensors; `change` makes another config of it. */
export function checkpointOf(
  folder: string,
  change: (config: Record<string, unknown>) => Record<string, unknown> = (c) => c,
): Checkpoint {
  const config = configFromHf(change(fixtureJson(`${folder}/config.json`)));
  const { tensors } = parseSafetensors(fixture(`${folder}/model.safetensors`), folder);
  const stored = [...tensors].map(([name, { dtype, shape, data }]) => {
    return [name, { dtype, shape, read: async () => data }] as const;
  });
  return { container: "safetensors", config, metadata: {}, tensors: new Map(stored) };
}

/** Tokens and their logits. */
export function referenceOf(folder: string): { tokens: Int32Array; logits: Float32Array } {
  const { tensors } = parseSafetensors(fixture(`${folder}/reference.safetensors`), folder);
  const buffer = (name: string): ArrayBuffer => new Uint8Array(tensors.get(name)?.data ?? []).buffer;
  return { tokens: new Int32Array(buffer("tokens")), logits: new Float32Array(buffer("logits")) };
}

/** Numbers of a tensor of a safetensors file. */
export function numbersOf<T>(path: string, name: string, kind: new (buffer: ArrayBuffer) => T): T {
  return new kind(new Uint8Array(parseSafetensors(fixture(path), path).tensors.get(name)?.data ?? []).buffer);
}
