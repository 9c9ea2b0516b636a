// From the tensors of a checkpoint to matrices and norms in linear memory.
import type { Activation } from "../kernels/types.ts";
import type { Matrix } from "../matrix/spec.ts";
import { type Engine, engineOf } from "../runtime/engine.ts";
import type { Lowbit } from "../runtime/features.ts";
import { type Architecture, architectures } from "./architectures.ts";
import type { ModelConfig } from "./config.ts";
import { concat, hubLinear, join, type Linear, packLinear, readLinear, takeRows, transpose } from "./linear.ts";
import { GGUF_NAMES, type LayerNames } from "./names.ts";
import type { QuantizeAs } from "./quantize.ts";
import { checksum } from "./state.ts";
import { type Checkpoint, elementsOf, floatsOf, isPacked, type ModelTensor } from "./tensors.ts";

/** Addresses of float32; bias 0: none. */
export interface Norm {
  readonly weight: number;
  readonly bias: number;
}

/** Products of the same input whose results follow each other: one matrix, or several. */
export type Group = readonly Matrix[];

export interface ExpertWeights {
  readonly gateUp: Group;
  readonly down: Matrix;
}

export interface LayerWeights {
  readonly attnNorm: Norm | undefined;
  /** q, k, v. */
  readonly qkv: Group;
  readonly qNorm: Norm | undefined;
  readonly kNorm: Norm | undefined;
  /** Whether q and k norms go over all heads at once; else over each head. */
  readonly wholeNorms: boolean;
  readonly sinks: number;
  readonly attnSub: Norm | undefined;
  readonly o: Matrix;
  readonly postAttn: Norm | undefined;
  readonly ffnNorm: Norm | undefined;
  /** gate and up, or up alone. */
  readonly gateUp: Group;
  readonly gated: boolean;
  readonly ffnSub: Norm | undefined;
  readonly down: Matrix | undefined;
  readonly postFfn: Norm | undefined;
  readonly router: Matrix | undefined;
  readonly experts: readonly ExpertWeights[];
}

export interface ModelWeights {
  readonly embedding: Matrix;
  readonly layers: readonly LayerWeights[];
  readonly norm: Norm;
  /** The embedding itself where it is tied. */
  readonly head: Matrix;
  /** Numbers of all tensors that were read. */
  readonly parameters: number;
  /** What tells these tensors from others. */
  readonly fingerprint: string;
  dispose(): void;
}

/**
 * Tensors are read a layer at a time, so that no more of the file is in memory twice.
 *
 * @param onProgress told before each layer
 * @param formatOf what becomes of a matrix of floats; undefined: it stays what it is
 * @throws RangeError for a tensor that is missing, of a wrong shape or type; OutOfMemoryError; the reason of an aborted signal. All
 * memory is given back then
 */
export async function loadWeights(
  lb: Lowbit,
  checkpoint: Checkpoint,
  activation: Activation,
  onProgress: (done: number, of: number) => void = () => {},
  signal?: AbortSignal,
  formatOf: FormatOf = () => undefined,
): Promise<ModelWeights> {
  const loader = new Loader(lb, checkpoint, activation, formatOf);
  try {
    return await loader.load(onProgress, signal);
  } catch (error) {
    loader.dispose();
    throw error;
  }
}

type FormatOf = (tensor: string, rows: number, cols: number) => QuantizeAs | undefined;

class Loader {
  readonly #lb: Lowbit;
  readonly #engine: Engine;
  readonly #checkpoint: Checkpoint;
  readonly #config: ModelConfig;
  readonly #row: Architecture;
  readonly #activation: Activation;
  readonly #formatOf: FormatOf;
  readonly #matrices: Matrix[] = [];
  readonly #regions: number[] = [];
  /** Those that are in memory. */
  readonly #tensors = new Map<string, ModelTensor>();
  readonly #marks: string[] = [];
  #parameters = 0;

  constructor(lb: Lowbit, checkpoint: Checkpoint, activation: Activation, formatOf: FormatOf) {
    this.#lb = lb;
    this.#engine = engineOf("load", lb);
    this.#checkpoint = checkpoint;
    this.#config = checkpoint.config;
    this.#row = architectures[checkpoint.config.architecture] as Architecture;
    this.#activation = activation;
    this.#formatOf = formatOf;
  }

  async load(onProgress: (done: number, of: number) => void, signal?: AbortSignal): Promise<ModelWeights> {
    const { hidden, vocabulary, layers, tied } = this.#config;
    const names = this.#gguf ? GGUF_NAMES : this.#row.names;
    const layerPrefix = names.layer.slice(0, names.layer.indexOf("{}"));
    await this.#read((name) => !name.startsWith(layerPrefix), signal);
    const stored = this.#linear(names.embedding, undefined, hidden);
    const embedding = this.#matrix([stored]);
    if (embedding.rows < vocabulary) this.#refuse(names.embedding, `${vocabulary} rows`, String(embedding.rows));
    // Some checkpoints say that they are tied and have a head all the same: transformers does not read it then.
    const head = tied && !this.#gguf ? undefined : [names.head, "lm_head"].find((name) => this.#has(name));
    const norm = this.#norm(names.norm) ?? this.#missing(`${names.norm}.weight`);
    // A tied head is the embedding's own matrix, unless the head becomes something else: rows of the embedding stay what they are.
    const headName = `${head ?? names.embedding}.weight`;
    const headLinear = this.#formatted(headName, head ? this.#linear(head, undefined, hidden) : stored);
    const headMatrix = headLinear === stored ? embedding : this.#matrix([headLinear], head === undefined ? [] : [head]);
    const loaded: LayerWeights[] = [];
    for (const [i, layer] of layers.entries()) {
      onProgress(i, layers.length);
      const prefix = names.layer.replace("{}", String(i));
      await this.#read((name) => name.startsWith(prefix), signal);
      loaded.push(this.#layer(names, prefix, layer.experts));
    }
    onProgress(layers.length, layers.length);
    this.#tensors.clear();
    return {
      embedding,
      layers: loaded,
      norm,
      head: headMatrix,
      parameters: this.#parameters,
      fingerprint: checksum(new TextEncoder().encode(this.#marks.join("\n")))
        .toString(16)
        .padStart(8, "0"),
      dispose: () => this.dispose(),
    };
  }

  // Brings tensors into memory, in place of those that were there.
  async #read(wanted: (name: string) => boolean, signal: AbortSignal | undefined): Promise<void> {
    this.#tensors.clear();
    for (const [name, tensor] of this.#checkpoint.tensors) {
      if (!wanted(name)) continue;
      signal?.throwIfAborted();
      const { dtype, shape } = tensor;
      if (isPacked(tensor)) {
        const { matrix, mark } = await tensor.matrix(this.#engine, this.#activation, signal);
        this.#matrices.push(matrix);
        this.#tensors.set(name, { dtype, shape, data: new Uint8Array(0), matrix });
        this.#parameters += elementsOf(tensor);
        this.#marks.push([name, matrix.format, shape.join("x"), mark].join(":"));
        continue;
      }
      const data = await tensor.read({ signal });
      this.#tensors.set(name, { dtype, shape, data });
      const { scheme } = this.#checkpoint;
      if (!scheme?.explains(name, dtype)) this.#parameters += elementsOf(tensor) * (dtype === "U8" ? 4 : 1);
      // Some bytes of each.
      const middle = Math.floor(data.length / 2);
      const some = [data.subarray(0, 64), data.subarray(middle, middle + 64)].map(checksum);
      this.#marks.push([name, dtype, shape.join("x"), ...some].join(":"));
    }
  }

  dispose(): void {
    for (const matrix of this.#matrices) matrix.dispose();
    for (const region of this.#regions) this.#engine.arena.release(region);
    this.#matrices.length = 0;
    this.#regions.length = 0;
  }

  get #gguf(): boolean {
    return this.#checkpoint.container === "gguf";
  }

  #layer(names: LayerNames, prefix: string, hasExperts: boolean): LayerWeights {
    const { heads, kvHeads, headSize, hidden, width } = this.#config;
    const at = (name: string): string => prefix + name;
    const optional = (name: string | undefined): Norm | undefined => (name ? this.#norm(at(name)) : undefined);
    const needed = (name: string | undefined): Norm | undefined =>
      name ? (this.#norm(at(name)) ?? this.#missing(`${at(name)}.weight`)) : undefined;
    const [q, kv] = [heads * headSize, kvHeads * headSize];
    const qNorm = optional(names.qNorm);
    const normed = qNorm ? this.#normSize(at(names.qNorm)) : 0;
    const sinks = this.#floats(at(names.sinks)) ?? this.#floats(`${at(names.sinks)}.weight`);
    if (sinks && sinks.length !== heads) this.#refuse(at(names.sinks), `${heads} numbers`, String(sinks.length));
    // In GGUF files of gpt-oss the norm before the feed-forward block has the name of that after attention in others.
    const after = this.#gguf ? this.#norm(at("post_attention_norm")) : needed(names.postAttn);
    const before = this.#gguf ? optional(names.ffnNorm) : needed(names.ffnNorm);
    const [postAttn, ffnNorm] = this.#gguf && this.#row.interleaved ? [before, after] : [after, before];
    return {
      attnNorm: this.#gguf ? optional(names.attnNorm) : needed(names.attnNorm),
      qkv: this.#qkv(names, prefix, q, kv),
      qNorm,
      kNorm: optional(names.kNorm),
      wholeNorms: normed === q && heads > 1,
      sinks: sinks ? this.#put(sinks) : 0,
      attnSub: optional(names.attnSub),
      o: this.#matrix([this.#weights(at(names.o), hidden, q)], [at(names.o)]),
      postAttn,
      ffnNorm,
      ...(hasExperts
        ? { ...this.#experts(names, prefix), gated: true, gateUp: [], down: undefined }
        : { ...this.#feedForward(names, prefix, hidden, width), router: undefined, experts: [] }),
      ffnSub: optional(names.ffnSub),
      postFfn: this.#gguf ? this.#norm(at("post_ffw_norm")) : needed(names.postFfn),
    };
  }

  #qkv(names: LayerNames, prefix: string, q: number, kv: number): Group {
    const { hidden, heads, headSize } = this.#config;
    const fused = prefix + names.qkv;
    if (this.#has(fused)) {
      const linear = this.#weights(fused, q + 2 * kv, hidden);
      const bias = this.#floats(`${fused}.bias`);
      if (!this.#row.headwise || this.#gguf) return [this.#packed(linear, bias)];
      // [heads][q, k, v][size] as [q, k, v][heads][size]
      const order = Uint32Array.from({ length: q + 2 * kv }, (_, row) => {
        const part = Math.floor(row / q);
        const head = Math.floor((row % q) / headSize);
        return (head * 3 + part) * headSize + (row % headSize);
      });
      if (heads * headSize !== kv) this.#refuse(fused, "as many key heads as query heads", "another number");
      return [this.#packed(takeRows(linear, order), bias && Float32Array.from(order, (row) => bias[row] as number))];
    }
    return this.#group([prefix + names.q, prefix + names.k, prefix + names.v], [q, kv, kv], hidden);
  }

  #feedForward(
    names: LayerNames,
    prefix: string,
    hidden: number,
    width: number,
  ): Pick<LayerWeights, "gateUp" | "gated" | "down"> {
    const down = this.#matrix([this.#weights(prefix + names.down, hidden, width)], [prefix + names.down]);
    const [gate, up, both] = [prefix + names.gate, prefix + names.up, prefix + names.gateUp];
    if (this.#has(gate)) return { gateUp: this.#group([gate, up], [width, width], hidden), gated: true, down };
    const fused = this.#tensor(`${both}.weight`);
    if ((both !== up && this.#has(both) && !fused) || fused?.shape[0] === 2 * width) {
      return { gateUp: this.#group([both], [2 * width], hidden), gated: true, down };
    }
    return { gateUp: this.#group([up], [width], hidden), gated: false, down };
  }

  #experts(names: LayerNames, prefix: string): Pick<LayerWeights, "router" | "experts"> {
    const { hidden, experts } = this.#config;
    const { count, width } = experts as { count: number; width: number };
    const router = prefix + names.router;
    return {
      router: this.#matrix([this.#linear(router, count, hidden)], [router]),
      experts: Array.from({ length: count }, (_, e) =>
        this.#gguf ? this.#ggufExpert(prefix, e, width) : this.#hfExpert(prefix, e, width),
      ),
    };
  }

  #ggufExpert(prefix: string, e: number, width: number): ExpertWeights {
    const { hidden } = this.#config;
    const part = (name: string, rows: number, cols: number): { linear: Linear; bias: Float32Array | undefined } => ({
      linear: this.#stacked(`${prefix}ffn_${name}_exps.weight`, e, rows, cols),
      bias: this.#floats(`${prefix}ffn_${name}_exps.bias`)?.slice(e * rows, (e + 1) * rows),
    });
    const [gate, up, down] = [part("gate", width, hidden), part("up", width, hidden), part("down", hidden, width)];
    return { gateUp: this.#joined([gate, up]), down: this.#packed(down.linear, down.bias) };
  }

  #hfExpert(prefix: string, e: number, width: number): ExpertWeights {
    const { hidden } = this.#config;
    const fused = `${prefix}mlp.experts.gate_up_proj`;
    if (!this.#tensor(fused) && !this.#tensor(`${fused}_blocks`)) {
      const at = `${prefix}mlp.experts.${e}.`;
      const gateUp = this.#group([`${at}gate_proj`, `${at}up_proj`], [width, width], hidden);
      return { gateUp, down: this.#matrix([this.#weights(`${at}down_proj`, hidden, width)], [`${at}down_proj`]) };
    }
    const { interleaved } = this.#row;
    const stack = (name: string, rows: number, cols: number): Linear => {
      if (!interleaved) return this.#stacked(name, e, rows, cols);
      const linear = this.#hub(name, rows, cols, e) ?? this.#stacked(name, e, cols, rows);
      if (linear.kind === "hub") return linear;
      if (linear.kind === "ternary" || linear.kind === "ggml" || linear.kind === "packed")
        this.#refuse(name, "numbers", linear.kind);
      return transpose(linear as Parameters<typeof transpose>[0]);
    };
    const bias = (name: string, rows: number): Float32Array | undefined =>
      this.#floats(`${name}_bias`)?.slice(e * rows, (e + 1) * rows);
    // Even rows are gate, odd ones up.
    const order = Uint32Array.from({ length: 2 * width }, (_, i) =>
      interleaved ? 2 * (i % width) + Math.floor(i / width) : i,
    );
    const gateUp = takeRows(stack(fused, 2 * width, hidden), order);
    const gateUpBias = bias(fused, 2 * width);
    const down = `${prefix}mlp.experts.down_proj`;
    return {
      gateUp: [this.#packed(gateUp, gateUpBias && Float32Array.from(order, (row) => gateUpBias[row] as number))],
      down: this.#packed(stack(down, hidden, width), bias(down, hidden)),
    };
  }

  /** A layer that the checkpoint's configuration explains; undefined where it is stored as numbers. */
  #hub(name: string, rows: number | undefined, cols: number, expert?: number): Linear | undefined {
    if (this.#tensor(`${name}.weight`)?.matrix) return undefined;
    const layer = this.#checkpoint.scheme?.layer(name, (tensor) => this.#tensor(tensor), expert);
    if (layer === undefined) return undefined;
    if ((rows !== undefined && layer.rows !== rows) || layer.cols !== cols) {
      this.#refuse(name, `shape [${rows ?? "vocabulary"}, ${cols}]`, `[${layer.rows}, ${layer.cols}]`);
    }
    this.#parameters += layer.rows * layer.cols;
    return hubLinear(layer);
  }

  /** Whether there is a module of this name, however it is stored. */
  #has(name: string): boolean {
    const { scheme } = this.#checkpoint;
    if (this.#tensor(`${name}.weight`)) return true;
    return scheme !== undefined && [...this.#tensors.keys()].some((tensor) => scheme.moduleOf(tensor) === name);
  }

  #stacked(name: string, e: number, rows: number, cols: number): Linear {
    // Of a file of lowbit's own, in which each is a matrix.
    const one = this.#tensor(`${name}[${e}]`);
    if (one) {
      this.#checkShape(name, one, [rows, cols]);
      return readLinear(name, one);
    }
    const tensor = this.#tensor(name) ?? this.#missing(name);
    const { count } = this.#config.experts as { count: number };
    this.#checkShape(name, tensor, [count, rows, cols]);
    return this.#formatted(name, readLinear(name, tensor, undefined, e));
  }

  // Modules of one input.
  #group(names: readonly string[], rows: readonly number[], cols: number): Group {
    return this.#joined(
      names.map((name, i) => ({
        linear: this.#weights(name, rows[i] as number, cols),
        bias: this.#floats(`${name}.bias`),
      })),
    );
  }

  #joined(parts: readonly { linear: Linear; bias: Float32Array | undefined }[]): Group {
    const joined = join(parts.map(({ linear }) => linear));
    if (!joined) return parts.map(({ linear, bias }) => this.#packed(linear, bias));
    const biased = parts.some(({ bias }) => bias);
    const bias = biased ? concat(parts.map((part) => part.bias ?? new Float32Array(part.linear.rows))) : undefined;
    return [this.#packed(joined, bias)];
  }

  #matrix(linears: readonly Linear[], names: readonly string[] = []): Matrix {
    return this.#packed(linears[0] as Linear, names[0] === undefined ? undefined : this.#floats(`${names[0]}.bias`));
  }

  #packed(linear: Linear, bias?: Float32Array): Matrix {
    if (bias && bias.length !== linear.rows) this.#refuse("bias", `${linear.rows} numbers`, String(bias.length));
    const matrix = packLinear(this.#lb, linear, this.#activation, bias);
    // What was a matrix already is in the list.
    if (linear.kind === "packed" && linear.matrix === matrix) return matrix;
    this.#matrices.push(matrix);
    return matrix;
  }

  // What becomes of a matrix: the caller's choice where it is floats.
  #formatted(name: string, linear: Linear): Linear {
    const numbers = linear.kind === "float32" || linear.kind === "float16" || linear.kind === "bfloat16";
    if (!numbers) return linear;
    const as = this.#formatOf(name, linear.rows, linear.cols);
    if (!as) return linear;
    this.#marks.push(`${name}: ${as.name} ${as.groupSize ?? ""}`);
    return { ...linear, as };
  }

  #weights(name: string, rows: number, cols: number): Linear {
    return this.#formatted(`${name}.weight`, this.#linear(name, rows, cols));
  }

  #linear(name: string, rows: number | undefined, cols: number): Linear {
    const layer = this.#hub(name, rows, cols);
    if (layer) return layer;
    const tensor = this.#tensor(`${name}.weight`) ?? this.#missing(`${name}.weight`);
    // It multiplies the product of NVFP4 and of some ternary files.
    const factor = this.#gguf ? this.#floats(`${name}.scale`) : undefined;
    if (factor?.some((value) => value !== 1)) this.#refuse(`${name}.scale`, "1", String(factor[0]));
    const linear = readLinear(`${name}.weight`, tensor, this.#tensor(`${name}.weight_scale`));
    if ((rows !== undefined && linear.rows !== rows) || linear.cols !== cols) {
      this.#refuse(`${name}.weight`, `shape [${rows ?? "vocabulary"}, ${cols}]`, `[${linear.rows}, ${linear.cols}]`);
    }
    return linear;
  }

  #tensor(name: string): ModelTensor | undefined {
    return this.#tensors.get(name);
  }

  #floats(name: string): Float32Array | undefined {
    const tensor = this.#tensor(name);
    if (!tensor) return undefined;
    const values = floatsOf(tensor);
    if (!values) this.#refuse(name, "F32, F16 or BF16", tensor.dtype);
    const bad = (values as Float32Array).findIndex((v) => !Number.isFinite(v));
    if (bad >= 0) this.#refuse(name, "finite numbers", `${values?.[bad]} at index ${bad}`);
    return values;
  }

  #normSize(name: string): number {
    return elementsOf(this.#tensor(`${name}.weight`) ?? this.#missing(`${name}.weight`));
  }

  #norm(name: string): Norm | undefined {
    const weight = this.#floats(`${name}.weight`);
    if (!weight) return undefined;
    const bias = this.#floats(`${name}.bias`);
    const one = this.#row.onePlus && !this.#gguf;
    return { weight: this.#put(one ? weight.map((w) => 1 + w) : weight), bias: bias ? this.#put(bias) : 0 };
  }

  #put(values: Float32Array): number {
    const { arena } = this.#engine;
    const address = arena.allocate(values.length * 4);
    this.#regions.push(address);
    arena.floats.set(values, address / 4);
    return address;
  }

  #checkShape(name: string, { shape }: ModelTensor, expected: readonly number[]): void {
    if (shape.length !== expected.length || shape.some((size, i) => size !== expected[i])) {
      this.#refuse(name, `shape [${expected.join(", ")}]`, `[${shape.join(", ")}]`);
    }
  }

  #missing(name: string): never {
    throw new RangeError(
      `load: expected a tensor ${name}, got none of that name among ${this.#checkpoint.tensors.size}`,
    );
  }

  #refuse(name: string, expected: string, got: string): never {
    throw new RangeError(`load: ${name}: expected ${expected}, got ${got}`);
  }
}
