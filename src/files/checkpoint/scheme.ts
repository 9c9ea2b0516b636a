// Which method a configuration names, and what it makes of a module's tensors.
import { rangeError, typeError } from "../../lib/check.ts";
import { nearest } from "../../lib/options.ts";
import type { HubLayer, Method } from "./layers.ts";
import { methods, REFUSED } from "./methods.ts";
import { type Json, Settings } from "./settings.ts";
import { isFloat, Module, type StoredTensor, type TensorOf } from "./tensors.ts";

const EMBEDDING = /(?:^|\.)(?:embed_tokens|embed_in|word_embeddings|tok_embeddings|wte|wpe)$/;

/** The quantised modules of a checkpoint. */
export class Scheme {
  /** `quant_method` of the configuration; "mlx" where it names none. */
  readonly name: string;
  readonly #method: Method;

  constructor(name: string, method: Method) {
    this.name = name;
    this.#method = method;
  }

  /** The module that a tensor belongs to; undefined for biases, and for what no method explains. */
  moduleOf(tensor: string): string | undefined {
    for (const part of [...this.#method.parts, "weight"]) {
      const end = part.startsWith("_") ? part : `.${part}`;
      if (tensor.endsWith(end)) return tensor.slice(0, -end.length);
    }
    // The JSON of bitsandbytes is a tensor, whose name says the type.
    return /^(.*)\.weight\.quant_state\.bitsandbytes__\w+$/.exec(tensor)?.[1];
  }

  /** Whether the tensor is more than numbers. */
  explains(tensor: string, dtype: string): boolean {
    return this.moduleOf(tensor) !== undefined && !(tensor.endsWith(".weight") && isFloat(dtype));
  }

  /**
   * The layer of a module, or undefined where it is stored as numbers.
   *
   * @throws TypeError, RangeError for tensors that are missing, or do not fit each other or the configuration
   */
  layer(name: string, tensorOf: TensorOf, expert?: number): HubLayer | undefined {
    const module = new Module(name, tensorOf);
    const { parts, left, online, read } = this.#method;
    const part = parts.find((one) => one !== "weight" && module.has(one));
    const weight: StoredTensor | undefined = module.peek("weight");
    const packed = part ?? (weight !== undefined && !isFloat(weight.dtype) ? "weight" : undefined);
    if (left(name)) {
      if (packed === undefined) return undefined;
      module.refuse(packed, `none: the configuration leaves this module alone (${this.name})`, "a tensor");
    }
    const here = online === true && weight !== undefined && weight.shape.length === 2 && !EMBEDDING.test(name);
    if (packed === undefined && !here) return undefined;
    const layer = read(module, expert);
    return { ...layer, pack: (...given) => named(name, () => layer.pack(...given)) };
  }
}

/** Errors of a format's own do not know which module they are about. */
function named<T>(name: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    const type = error instanceof Error ? error.constructor : undefined;
    if (type !== RangeError && type !== TypeError) throw error;
    throw new (type as RangeErrorConstructor)(`checkpoint: ${name}: ${(error as Error).message}`, { cause: error });
  }
}

/**
 * What config.json says of the quantised modules, or undefined where there are none.
 *
 * @throws TypeError, RangeError for a method that is not known, with the nearest that is, and for settings that it does not have
 */
export function schemeOf(config: Json): Scheme | undefined {
  const root = new Settings(config, "config");
  const settings =
    root.object("quantization_config") ?? root.object("quantization") ?? root.object("compression_config");
  if (settings === undefined) return undefined;
  const given = settings.get("quant_method") ?? (settings.get("bits") === undefined ? undefined : "mlx");
  const where = "checkpoint: config.json: quantization_config.quant_method";
  if (typeof given !== "string") throw typeError(where, "a method's name", given);
  const name = given.toLowerCase();
  const known = methods();
  const method = Object.hasOwn(known, name) ? known[name] : undefined;
  if (method !== undefined) return new Scheme(name, method(settings));
  const why = Object.hasOwn(REFUSED, name) ? REFUSED[name] : undefined;
  if (why !== undefined) throw rangeError(where, Object.keys(known).join(" | "), `"${name}": ${why}`);
  const near = nearest(name, Object.keys(known));
  throw rangeError(
    where,
    near ? `a method (did you mean "${near}"?)` : Object.keys(known).join(" | "),
    JSON.stringify(given),
  );
}
