/** lowbit/llm: language models, from their files to text, with the same text everywhere. */
export {
  type GenerateOptions,
  Generation,
  type Piece,
  type Result,
} from "./generate.ts";
export { type FileInfo, inspect, type TensorInfo } from "./inspect.ts";
export * as kv from "./kv.ts";
export type { KvKind, KvLayout, KvOptions } from "./kv-layout.ts";
export { type Files, type LoadOptions, load } from "./load.ts";
export { type EmbedOptions, LanguageModel, type LogitsOptions, type ModelInfo, type SessionOptions } from "./model.ts";
export { type OpenAiOptions, openai } from "./openai.ts";
export type { QuantizeAs, QuantizeFormat } from "./quantize.ts";
export { ContextError, type Prompt, Session } from "./session.ts";
export { type Message, TemplateError } from "./template.ts";
export type { Pooling } from "./tensors.ts";
export type { Tokenizer } from "./tokenizer.ts";
