// What a model is made from: named tensors and a configuration, as every container can give them.

import type { Scheme } from "../files/checkpoint/scheme.ts";
import type { StoredTensor as InMemory } from "../files/checkpoint/tensors.ts";
import type { Activation } from "../kernels/types.ts";
import { bfloat16ToFloat, halfToFloat } from "../lib/half.ts";
import { floatsOf as floats, wordsOf as words } from "../lib/little-endian.ts";
import type { Matrix } from "../matrix/spec.ts";
import type { Engine } from "../runtime/engine.ts";
import type { ModelConfig } from "./config.ts";

/** A tensor of a container. */
export interface ModelTensor extends InMemory {
  /** In place of bytes, one that is packed already: dtype is its format. */
  readonly matrix?: Matrix;
}

/** A tensor that is not in memory yet. */
export interface StoredTensor extends Omit<ModelTensor, "data" | "matrix"> {
  read(options?: { readonly signal?: AbortSignal | undefined }): Promise<Uint8Array>;
}

/** A tensor of which a matrix comes, in place of bytes. */
export interface PackedTensor extends StoredTensor {
  /**
   * The matrix, and a text that tells it from others.
   * @param activation where the stored bytes serve it; otherwise what they were packed for
   */
  matrix(
    engine: Engine,
    activation: Activation,
    signal: AbortSignal | undefined,
  ): Promise<{ readonly matrix: Matrix; readonly mark: string }>;
}

export function isPacked(tensor: StoredTensor): tensor is PackedTensor {
  return "matrix" in tensor;
}

/** A model before it is packed. */
export interface Checkpoint {
  readonly container: "gguf" | "safetensors";
  readonly config: ModelConfig;
  /** Everything else that the container says of the model. */
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** How it makes a vector of a text, where it says so. */
  readonly pooling?: Pooling | undefined;
  /** Which of its modules are quantised, and how; undefined: none. */
  readonly scheme?: Scheme;
}

/** Of hidden states: their mean, the last token's, the first one's. */
export type Pooling = "mean" | "last" | "cls";

/** 16-bit numbers of a tensor. */
export function wordsOf({ data }: ModelTensor, begin = 0, end = data.length / 2): Uint16Array {
  return words(data.subarray(2 * begin, 2 * end));
}

/** Numbers of a tensor of floats, or undefined where it is of another type. */
export function floatsOf(tensor: ModelTensor, begin = 0, end = elementsOf(tensor)): Float32Array | undefined {
  const { dtype, data } = tensor;
  if (dtype === "BF16") return bfloat16ToFloat("load", wordsOf(tensor, begin, end));
  if (dtype === "F16") return halfToFloat("load", wordsOf(tensor, begin, end));
  return dtype === "F32" ? floats(data.subarray(4 * begin, 4 * end)) : undefined;
}

export function elementsOf({ shape }: Pick<ModelTensor, "shape">): number {
  return shape.reduce((product, size) => product * size, 1);
}
