// From files to a model.
import { parseSafetensors } from "../files/index.ts";
import type { Activation } from "../kernels/types.ts";
import { checkChoice, rangeError, typeError } from "../lib/check.ts";
import { type OptionNames, readOptions } from "../lib/options.ts";
import type { Lowbit } from "../runtime/features.ts";
import { configFromHf } from "./hf-config.ts";
import { LanguageModel } from "./model.ts";
import type { Checkpoint, ModelTensor } from "./tensors.ts";
import { ModelTokenizer } from "./tokenizer.ts";

/**
 * The files of a checkpoint by their names, as Hugging Face's hub has them: config.json, *.safetensors, and where there are
 * some tokenizer.json, tokenizer_config.json, generation_config.json, chat_template.jinja.
 */
export type Files = Readonly<Record<string, Uint8Array>> | ReadonlyMap<string, Uint8Array>;

export interface LoadOptions {
  /** How activations meet quantised weights. Default "int8": the same tokens on every machine. */
  readonly activation?: Activation;
  /** Tokens of a conversation at most. Default: what the model was made for. */
  readonly context?: number;
  /** A chat template, Jinja, in place of the model's. */
  readonly template?: string;
  /** Told after each layer that is packed. */
  readonly onProgress?: (done: number, of: number) => void;
}

const NAMES: OptionNames<LoadOptions> = { activation: [], context: [], template: ["chat_template"], onProgress: [] };

type Json = Readonly<Record<string, unknown>>;

/**
 * @throws TypeError, RangeError for files that are missing, damaged, or of a model that is not known; OutOfMemoryError. All
 * memory is given back then
 */
export async function load(lb: Lowbit, files: Files, options: LoadOptions = {}): Promise<LanguageModel> {
  const given = readOptions<LoadOptions>("load", options, NAMES);
  const activation = checkChoice("load: activation", given.activation ?? "int8", ["int8", "f32", "lut8"]);
  const found = filesOf(files);
  const checkpoint = checkpointOf(found);
  const rules = json(found, "tokenizer.json");
  const template = given.template ?? text(found, "chat_template.jinja");
  const tokenizer = rules && new ModelTokenizer(rules, json(found, "tokenizer_config.json") ?? {}, template);
  return LanguageModel.create(lb, checkpoint, tokenizer, activation, given.context, given.onProgress);
}

function filesOf(files: unknown): ReadonlyMap<string, Uint8Array> {
  if (typeof files !== "object" || files === null) throw typeError("load: files", "files by their names", files);
  const entries: readonly [string, unknown][] = files instanceof Map ? [...files] : Object.entries(files);
  for (const [name, bytes] of entries) {
    if (!(bytes instanceof Uint8Array)) throw typeError(`load: ${name}`, "a Uint8Array", bytes);
  }
  return new Map(entries as [string, Uint8Array][]);
}

function checkpointOf(files: ReadonlyMap<string, Uint8Array>): Checkpoint {
  const config = json(files, "config.json");
  if (!config) throw rangeError("load: files", "a config.json", [...files.keys()].join(", ") || "none");
  const tensors = new Map<string, ModelTensor>();
  for (const [name, bytes] of files) {
    if (!name.endsWith(".safetensors")) continue;
    for (const [key, tensor] of parseSafetensors(bytes, name).tensors) {
      if (tensors.has(key)) throw rangeError(`load: ${name}`, "each tensor once", `${key} again`);
      tensors.set(key, tensor);
    }
  }
  if (tensors.size === 0)
    throw rangeError("load: files", "a *.safetensors file with tensors", [...files.keys()].join(", "));
  const metadata = { ...config };
  return {
    container: "safetensors",
    config: configFromHf(config, json(files, "generation_config.json")),
    metadata,
    tensors,
  };
}

function text(files: ReadonlyMap<string, Uint8Array>, name: string): string | undefined {
  const bytes = files.get(name);
  return bytes && new TextDecoder().decode(bytes);
}

function json(files: ReadonlyMap<string, Uint8Array>, name: string): Json | undefined {
  const source = text(files, name);
  if (source === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(source);
  } catch (error) {
    throw rangeError(`load: ${name}`, "JSON", error instanceof Error ? error.message : "something else");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw rangeError(`load: ${name}`, "an object", value);
  return value as Json;
}
