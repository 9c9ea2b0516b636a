// From files to a model.
import { openWeights, type Source, type SourceOptions, type WeightFile } from "../files/index.ts";
import { beside, isNamed, openFile } from "../files/source.ts";
import type { Activation } from "../kernels/types.ts";
import { checkChoice, rangeError, typeError } from "../lib/check.ts";
import { type OptionNames, readOptions } from "../lib/options.ts";
import type { Lowbit } from "../runtime/features.ts";
import { configFromGguf, plainMetadata } from "./gguf-config.ts";
import { tokenizerFromGguf } from "./gguf-tokenizer.ts";
import { configFromHf } from "./hf-config.ts";
import { type KvKind, type KvOptions, readKv } from "./kv-layout.ts";
import { LanguageModel } from "./model.ts";
import { openOwn } from "./own-file.ts";
import { type QuantizeFormat, readFormat } from "./quantize.ts";
import { type Checkpoint, floatsOf, type Pooling } from "./tensors.ts";
import { ModelTokenizer } from "./tokenizer.ts";

/** The files of a checkpoint by their names, as Hugging Face's hub has them: config.json, *.safetensors, tokenizer.json, … */
export type Files = Readonly<Record<string, Source>> | ReadonlyMap<string, Source>;

export interface LoadOptions extends SourceOptions {
  /** How activations meet quantised weights. Default "int8": the same tokens on every machine. */
  readonly activation?: Activation;
  /** Tokens of a conversation at most. Default: what the model was made for. */
  readonly context?: number;
  /**
   * What matrices of floats become while they are read, embeddings and routers excepted; norms and biases stay what they are. A
   * tied head becomes a matrix of its own. Weights that are few bits already stay as stored. Default: everything does.
   */
  readonly format?: QuantizeFormat;
  /** What keys and values of a conversation are. Default "f32". */
  readonly kv?: KvKind | KvOptions;
  /** A chat template, Jinja, in place of the model's. */
  readonly template?: string;
  /** Told before each layer is packed, and at the end. */
  readonly onLayer?: (done: number, of: number) => void;
}

const NAMES: OptionNames<LoadOptions> = {
  activation: [],
  context: [],
  format: [],
  kv: [],
  template: ["chat_template"],
  onLayer: [],
  signal: [],
  onProgress: [],
  cache: [],
  fetch: [],
  headers: [],
  retries: [],
};

type Json = Readonly<Record<string, unknown>>;
/** Reads a file beside the weights; undefined where there is none. */
export type Reader = (name: string) => Promise<Uint8Array | undefined>;

/**
 * @param source a folder (its path or address), a GGUF or safetensors file (the others of it and config.json are looked for beside
 * it), an array of the files of one GGUF model, or files by their names
 * @throws TypeError, RangeError for files that are missing or of a model that is not known; FileError for damaged ones;
 * OutOfMemoryError; the reason of an aborted signal. All memory is given back then
 */
export async function load(lb: Lowbit, source: Source | Files, options: LoadOptions = {}): Promise<LanguageModel> {
  const given = readOptions<LoadOptions>("load", options, NAMES);
  const activation = checkChoice("load: activation", given.activation ?? "int8", ["int8", "f32", "lut8"]);
  const kv = readKv("load: kv", given.kv);
  const { context, template, onLayer, activation: _, kv: __, format, ...files } = given;
  const formatOf = readFormat("load: format", format);
  const [opened, beside] = await openSource(source, files);
  try {
    const [weights, read] = await openOwn(opened, beside);
    const gguf = weights.container === "gguf";
    const checkpoint = gguf ? await ggufCheckpoint(weights) : await hfCheckpoint(weights, read);
    const tokenizer = gguf ? tokenizerFromGguf(weights.metadata, template) : await hfTokenizer(read, template);
    return await LanguageModel.create(
      lb,
      checkpoint,
      tokenizer,
      activation,
      kv,
      context,
      onLayer,
      given.signal,
      formatOf,
    );
  } finally {
    await opened.close();
  }
}

/** The weights of a model, and what reads the files beside them. */
export async function openSource(source: Source | Files, options: SourceOptions): Promise<[WeightFile, Reader]> {
  const named = filesOf(source);
  if (named) {
    const weights = [...named].filter(([name]) => /\.(safetensors|gguf)$/i.test(name)).map(([, file]) => file);
    if (weights.length === 0) {
      throw rangeError("load: source", "a *.safetensors or *.gguf file", [...named.keys()].join(", ") || "none");
    }
    const read: Reader = async (name) => {
      const file = named.get(name);
      return file === undefined ? undefined : contentOf(file, options);
    };
    return [await openWeights(weights, options), read];
  }
  const one = source as Source;
  if (!isNamed(one)) return [await openWeights(one, options), async () => undefined];
  const name = String(one).replace(/[?#].*$/, "");
  const file = /\.(safetensors|gguf|json)$/i.test(name) ? one : beside(withSlash(one), "model.safetensors");
  const read: Reader = (other) => contentOf(beside(file, other), options).catch(() => undefined);
  if (file === one) return [await openWeights(one, options), read];
  const index = await read("model.safetensors.index.json");
  return [await openWeights(index ? beside(file, "model.safetensors.index.json") : file, options), read];
}

function withSlash(folder: string | URL): string | URL {
  if (typeof folder === "string") return folder.endsWith("/") ? folder : `${folder}/`;
  const url = new URL(folder);
  if (!url.pathname.endsWith("/")) url.pathname += "/";
  return url;
}

// A Map or a plain object: everything else that sources are has a class of its own, or `read`.
function filesOf(source: unknown): ReadonlyMap<string, Source> | undefined {
  if (source instanceof Map) return source as ReadonlyMap<string, Source>;
  if (typeof source !== "object" || source === null || Array.isArray(source) || ArrayBuffer.isView(source))
    return undefined;
  if (source instanceof URL || source instanceof ArrayBuffer || "read" in source) return undefined;
  if (typeof Blob === "function" && source instanceof Blob) return undefined;
  return new Map(Object.entries(source as Record<string, Source>));
}

async function contentOf(source: Source, options: SourceOptions): Promise<Uint8Array> {
  const file = await openFile("load: source", source, options);
  try {
    return await file.read(0, file.size, options.signal);
  } finally {
    await file.close();
  }
}

/** By the number that GGUF files have for it. */
const POOLINGS: readonly (Pooling | undefined)[] = [undefined, "mean", "cls", "last"];

async function ggufCheckpoint({ metadata, tensors }: WeightFile): Promise<Checkpoint> {
  const config = configFromGguf(metadata, tensors);
  const numbers = async (name: string): Promise<number[] | undefined> => {
    const tensor = tensors.get(name);
    return tensor && Array.from(floatsOf({ ...tensor, data: await tensor.read() }) ?? []);
  };
  // What other containers have in the configuration.
  const divisors = await numbers("rope_freqs.weight");
  const short = await numbers("rope_factors_short.weight");
  const long = await numbers("rope_factors_long.weight");
  const ropes = config.ropes.map((rope, i) => (i === 0 ? { ...rope, divisors, short, long } : rope));
  for (const factors of [divisors, short, long]) {
    const half = (config.ropes[0] as (typeof config.ropes)[number]).turned / 2;
    if (factors && factors.length !== half)
      throw rangeError("load: rope factors", `${half} numbers`, String(factors.length));
  }
  const plain = plainMetadata(metadata);
  const pooling = POOLINGS[Number(plain[`${String(plain["general.architecture"])}.pooling_type`])];
  return { container: "gguf", config: { ...config, ropes }, metadata: plain, tensors, pooling };
}

async function hfCheckpoint({ tensors }: WeightFile, read: Reader): Promise<Checkpoint> {
  const config = await jsonOf(read, "config.json");
  if (!config) throw rangeError("load: source", "a config.json beside the weights", "none");
  const generation = await jsonOf(read, "generation_config.json");
  // As sentence-transformers writes it.
  const modes = await jsonOf(read, "1_Pooling/config.json");
  const mode = (["mean_tokens", "lasttoken", "cls_token"] as const).find((name) => modes?.[`pooling_mode_${name}`]);
  const pooling = mode && ({ mean_tokens: "mean", lasttoken: "last", cls_token: "cls" } as const)[mode];
  return { container: "safetensors", config: configFromHf(config, generation), metadata: config, tensors, pooling };
}

async function hfTokenizer(read: Reader, template: string | undefined): Promise<ModelTokenizer | undefined> {
  const rules = await jsonOf(read, "tokenizer.json");
  if (!rules) return undefined;
  const own = template ?? (await textOf(read, "chat_template.jinja"));
  return new ModelTokenizer(rules, (await jsonOf(read, "tokenizer_config.json")) ?? {}, own);
}

async function textOf(read: Reader, name: string): Promise<string | undefined> {
  const bytes = await read(name);
  return bytes && new TextDecoder().decode(bytes);
}

export async function jsonOf(read: Reader, name: string): Promise<Json | undefined> {
  const source = await textOf(read, name);
  if (source === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(source);
  } catch (error) {
    throw rangeError(`load: ${name}`, "JSON", error instanceof Error ? error.message : "something else");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw typeError(`load: ${name}`, "an object", value);
  return value as Json;
}
