// Checkpoints of the hub as matrices: by the method that config.json names, from the tensors of each module.
import { pack as packDense } from "../../formats/dense/index.ts";
import type { Activation } from "../../kernels/types.ts";
import { checkChoice, rangeError, typeError } from "../../lib/check.ts";
import type { Matrix } from "../../matrix/spec.ts";
import { engineOf } from "../../runtime/engine.ts";
import type { Lowbit } from "../../runtime/features.ts";
import type { FileTensor } from "../container.ts";
import type { Source, SourceOptions } from "../open-file.ts";
import { checkNames } from "../options.ts";
import { type Files, jsonOf, openSource } from "./folder.ts";
import { schemeOf } from "./scheme.ts";
import { floats, isFloat, type StoredTensor } from "./tensors.ts";

export type { Files } from "./folder.ts";

export interface CheckpointMatrixOptions {
  /** How activations meet the weights. Default: what the format has first. Numbers have "f32" alone. */
  readonly activation?: Activation | undefined;
  /** Which one of a stack of experts. */
  readonly expert?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** An open checkpoint. */
export interface CheckpointFile {
  /** config.json */
  readonly config: Readonly<Record<string, unknown>>;
  /** `quant_method`, "mlx" where it names none; undefined where nothing is quantised. */
  readonly method: string | undefined;
  /** Modules with a matrix, quantised or not, in the order of the file. */
  readonly names: readonly string[];
  /** All tensors as stored. */
  readonly tensors: ReadonlyMap<string, FileTensor>;
  /**
   * The matrix of a module, `"model.layers.0.self_attn.q_proj"`: what its tensors stand for, [outputs, inputs]. Numbers are `dense`.
   *
   * @throws RangeError for a name that is not known, and for tensors that are missing or do not fit each other or the configuration (the
   * tensor is named); FileError; OutOfMemoryError. No memory is kept then
   */
  matrix(name: string, options?: CheckpointMatrixOptions): Promise<Matrix>;
  /** Ends downloads and closes files. Matrices stay. */
  close(): Promise<void>;
}

const OPTIONS = ["signal", "onProgress", "cache", "fetch", "headers", "retries"];

/**
 * Opens a checkpoint as the hub has them. Only headers and config.json are read.
 *
 * @param source a folder (its path, its address or `hf:owner/repo/`), a safetensors file with config.json beside it, or files by their names
 * @throws TypeError, RangeError for a source that is none, for a method that is not known (with the nearest that is) and for settings
 * that it does not have; FileError for damaged files; the reason of an aborted signal
 */
export async function checkpoint(
  lb: Lowbit,
  source: Source | Files,
  options: SourceOptions = {},
): Promise<CheckpointFile> {
  const where = "checkpoint";
  checkNames(where, options, OPTIONS);
  engineOf(where, lb);
  const [weights, read] = await openSource(where, source, options);
  try {
    if (weights.container !== "safetensors") throw rangeError(`${where}: source`, "safetensors files", "a GGUF file");
    const config = await jsonOf(where, read, "config.json");
    if (config === undefined) throw rangeError(`${where}: source`, "a config.json beside the weights", "none");
    const scheme = schemeOf(config);
    const { tensors } = weights;
    // Tensors of each module.
    const modules = new Map<string, string[]>();
    for (const [name, { dtype, shape }] of tensors) {
      const module = scheme?.moduleOf(name) ?? (/^(.*)\.weight$/.exec(name)?.[1] as string | undefined);
      if (module === undefined || (!scheme?.explains(name, dtype) && (shape.length !== 2 || !isFloat(dtype)))) continue;
      const own = modules.get(module);
      if (own) own.push(name);
      else modules.set(module, [name]);
    }
    const matrix = async (name: string, given: CheckpointMatrixOptions = {}): Promise<Matrix> => {
      checkNames(`${where}.matrix`, given, ["activation", "expert", "signal"]);
      const { activation, expert, signal } = given;
      if (activation !== undefined) checkChoice(`${where}.matrix: activation`, activation, ["int8", "f32", "lut8"]);
      if (expert !== undefined && !Number.isInteger(expert)) {
        throw typeError(`${where}.matrix: expert`, "a whole number", expert);
      }
      const own = modules.get(name);
      if (own === undefined) {
        throw rangeError(`${where}.matrix: name`, "a module with a matrix", JSON.stringify(String(name)));
      }
      const stored = new Map<string, StoredTensor>();
      for (const tensor of own) {
        const file = tensors.get(tensor) as FileTensor;
        stored.set(tensor, { dtype: file.dtype, shape: file.shape, data: await file.read({ signal }) });
      }
      const layer = scheme?.layer(name, (tensor) => stored.get(tensor), expert);
      if (layer) return layer.pack(lb, activation);
      const weight = stored.get(`${name}.weight`);
      if (weight === undefined) throw rangeError(`${where}: ${name}.weight`, "a tensor of this name", "none");
      const [rows, cols] = weight.shape as [number, number];
      return packDense(lb, { rows, cols, weights: floats(weight) });
    };
    const close = (): Promise<void> => weights.close();
    return { config, method: scheme?.name, names: [...modules.keys()], tensors, matrix, close };
  } catch (error) {
    await weights.close();
    throw error;
  }
}
