// A reference: the tokens of a text and the logits after each, of another implementation.
import { readFile } from "node:fs/promises";
import { Failure } from "./errors.ts";
import { ggml, parseSafetensors } from "./library.ts";

export interface Reference {
  readonly tokens: readonly number[];
  /** [tokens][vocabulary] */
  readonly logits: Float32Array;
}

/** A safetensors file with `tokens` (whole numbers) and `logits` (floats), of a batch of one or without one. */
export async function readReference(path: string): Promise<Reference> {
  const { tensors } = parseSafetensors(await readFile(path), path);
  const numbers = (name: string, types: readonly string[]): { values: Float32Array; shape: readonly number[] } => {
    const tensor = tensors.get(name);
    if (!tensor)
      throw new Failure(`eval: ${path}: expected a tensor ${name}, got ${[...tensors.keys()].join(", ") || "none"}`);
    if (!types.includes(tensor.dtype)) {
      throw new Failure(`eval: ${path}: ${name}: expected ${types.join(", ")}, got ${tensor.dtype}`);
    }
    const shape = tensor.shape.length > 1 && tensor.shape[0] === 1 ? tensor.shape.slice(1) : tensor.shape;
    const count = tensor.shape.reduce((product, size) => product * size, 1);
    // Whole numbers of tokens are exact in float32, as there are fewer than 2^24 of them.
    return { values: ggml.decode({ type: tensor.dtype, rows: 1, cols: count, data: tensor.data }), shape };
  };
  const { values, shape } = numbers("tokens", ["I32", "I64", "I16", "I8"]);
  const { values: logits, shape: rows } = numbers("logits", ["F32", "F16", "BF16", "F64"]);
  if (shape.length !== 1 || rows.length !== 2 || rows[0] !== shape[0] || values.length < 2) {
    throw new Failure(
      `eval: ${path}: expected tokens [n] and logits [n, vocabulary], got [${shape.join(", ")}] and [${rows.join(", ")}]`,
    );
  }
  return { tokens: Array.from(values), logits };
}
