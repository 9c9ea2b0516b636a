// What is in a file of weights, known from its headers alone.

import { type Files, jsonOf, openSource, type Reader } from "../files/checkpoint/folder.ts";
import type { Json } from "../files/checkpoint/settings.ts";
import { isFloat } from "../files/checkpoint/tensors.ts";
import { bytesOf } from "../files/ggml/index.ts";
import type { FileTensor, Source, SourceOptions, WeightFile } from "../files/index.ts";
import type { ModelConfig } from "./config.ts";
import { bufferSizes } from "./decoder.ts";
import { configFromGguf, plainMetadata } from "./gguf-config.ts";
import { configFromHf } from "./hf-config.ts";
import type { ModelInfo } from "./model.ts";
import { openOwn } from "./own-file.ts";
import { elementsOf, isPacked as isMatrix } from "./tensors.ts";

export interface TensorInfo {
  readonly name: string;
  /** As the container says it: "F32", "BF16", "Q4_K", … */
  readonly format: string;
  /** Rows first. */
  readonly shape: readonly number[];
  /** In the file. */
  readonly byteLength: number;
  /** Of linear memory once it is loaded as it is. */
  readonly bytes: number;
}

/** What `load` would make of a file, or what is in one that is no language model. */
export interface FileInfo extends Omit<ModelInfo, "architecture" | "context" | "tensors"> {
  /** As `load` calls it, or, where that refuses it, as the file does; undefined for one that says none. */
  readonly architecture: string | undefined;
  /** Tokens of a conversation at most; undefined where `load` refuses the model. */
  readonly context: number | undefined;
  /** Why `load` does not take it. */
  readonly refusal?: string;
  /** Of all files. */
  readonly byteLength: number;
  /** Of linear memory once loaded, but for keys and values, which grow with the conversation. */
  readonly bytes: number;
  /** In the order of the file. */
  readonly tensors: readonly TensorInfo[];
}

/**
 * Reads headers and, of a checkpoint, config.json; no tensors, and no WebAssembly is needed.
 *
 * @param source as of `load`; also files of weights that are no language model
 * @throws FileError for files that are absent or damaged; TypeError, RangeError for a source that is none; the reason of an
 * aborted signal
 */
export async function inspect(source: Source | Files, options: SourceOptions = {}): Promise<FileInfo> {
  const [opened, beside] = await openSource("inspect", source, options);
  try {
    const [weights, read] = await openOwn(opened, beside);
    const { container, byteLength } = weights;
    const [metadata, config] = container === "gguf" ? ggufModel(weights) : await hfModel(weights, read);
    const known = typeof config === "object" && "layers" in config ? config : undefined;
    const packed = (name: string): boolean => weights.tensors.has(name.replace(/\.weight$/, ".weight_scale"));
    const tensors = [...weights.tensors.values()].map((tensor) => tensorInfo(tensor, packed(tensor.name)));
    const buffers = known ? Object.values(bufferSizes(known)).reduce((sum, floats) => sum + 4 * floats, 0) : 0;
    return {
      container,
      architecture: known?.architecture ?? (config as Refused).architecture,
      context: known?.context,
      ...(!known && { refusal: (config as Refused).refusal }),
      parameters: [...weights.tensors.values()].reduce(
        (sum, tensor) => sum + elementsOf(tensor) * (isPacked(tensor, packed(tensor.name)) ? 4 : 1),
        0,
      ),
      byteLength,
      bytes: buffers + tensors.reduce((sum, { bytes }) => sum + bytes, 0),
      metadata,
      tensors,
    };
  } finally {
    await opened.close();
  }
}

interface Refused {
  readonly architecture: string | undefined;
  readonly refusal: string;
}

function ggufModel({ metadata, tensors }: WeightFile): [Json, ModelConfig | Refused] {
  const name = metadata.get("general.architecture")?.value;
  return [plainMetadata(metadata), orRefused(name, () => configFromGguf(metadata, tensors))];
}

async function hfModel({ metadata }: WeightFile, read: Reader): Promise<[Json, ModelConfig | Refused]> {
  const json = await jsonOf("inspect", read, "config.json");
  if (json) return [json, orRefused(json.model_type, () => configFromHf(json))];
  return [plainMetadata(metadata), { architecture: undefined, refusal: "there is no config.json beside the weights" }];
}

function orRefused(name: unknown, config: () => ModelConfig): ModelConfig | Refused {
  try {
    return config();
  } catch (error) {
    return { architecture: typeof name === "string" ? name : undefined, refusal: (error as Error).message };
  }
}

/** BitNet's packed ternary weights: four a byte. */
function isPacked({ dtype, shape }: FileTensor, scaled: boolean): boolean {
  return dtype === "U8" && scaled && shape.length === 2;
}

function tensorInfo(tensor: FileTensor, scaled: boolean): TensorInfo {
  const { name, dtype, shape, byteLength } = tensor;
  // Of a file of lowbit's own, which holds what memory does.
  if (isMatrix(tensor)) return { name, format: dtype, shape, byteLength, bytes: byteLength };
  const [rows, cols] = shape.slice(-2) as [number, number];
  let bytes: number | undefined;
  if (isPacked(tensor, scaled)) bytes = bytesOf({ type: "I2_S", rows: 4 * rows, cols });
  else if (shape.length >= 2) bytes = bytesOf({ type: dtype, rows, cols });
  // A stack of matrices is as many of them.
  if (bytes !== undefined) bytes *= shape.slice(0, -2).reduce((product, size) => product * size, 1);
  else if (shape.length === 1 && isFloat(dtype)) bytes = 4 * elementsOf(tensor);
  return { name, format: dtype, shape, byteLength, bytes: bytes ?? byteLength };
}
