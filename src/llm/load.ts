// From files to a model.
import { type Files, jsonOf, openSource, type Reader, textOf } from "../files/checkpoint/folder.ts";
import { schemeOf } from "../files/checkpoint/scheme.ts";
import type { Source, SourceOptions, WeightFile } from "../files/index.ts";
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

export type { Files };

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
  if (template !== undefined && typeof template !== "string") throw typeError("load: template", "a string", template);
  if (onLayer !== undefined && typeof onLayer !== "function") throw typeError("load: onLayer", "a function", onLayer);
  const [opened, beside] = await openSource("load", source, files);
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
  const config = await jsonOf("load", read, "config.json");
  if (!config) throw rangeError("load: source", "a config.json beside the weights", "none");
  const generation = await jsonOf("load", read, "generation_config.json");
  // As sentence-transformers writes it.
  const modes = await jsonOf("load", read, "1_Pooling/config.json");
  const mode = (["mean_tokens", "lasttoken", "cls_token"] as const).find((name) => modes?.[`pooling_mode_${name}`]);
  const pooling = mode && ({ mean_tokens: "mean", lasttoken: "last", cls_token: "cls" } as const)[mode];
  const scheme = schemeOf(config);
  const model = configFromHf(config, generation);
  return { container: "safetensors", config: model, metadata: config, tensors, pooling, ...(scheme && { scheme }) };
}

async function hfTokenizer(read: Reader, template: string | undefined): Promise<ModelTokenizer | undefined> {
  const rules = await jsonOf("load", read, "tokenizer.json");
  if (!rules) return undefined;
  const own = template ?? (await textOf(read, "chat_template.jinja"));
  return new ModelTokenizer(rules, (await jsonOf("load", read, "tokenizer_config.json")) ?? {}, own);
}
