import { type Activation, binary, fairy2i, type Lowbit, type Matrix, ternary } from "lowbit";
import { FileError, type Safetensors } from "lowbit/files";
import { getFloats, getTensor } from "./safetensors.ts";

/** How linear weights are stored: signs, trits, powers of i in one or two stages, or floats that are to be quantised. */
const FORMATS = ["binary", "ternary", "fairy1", "fairy2", "fp"] as const;

/** The `config` of the file's metadata. Every size in this program comes from here. */
export interface Config {
  readonly format: (typeof FORMATS)[number];
  readonly hiddenSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly headDim: number;
  readonly intermediateSize: number;
  readonly vocabSize: number;
  readonly maxPosition: number;
  readonly ropeTheta: number;
  readonly rmsNormEps: number;
}

export interface LayerWeights {
  readonly inputNorm: Float32Array;
  readonly query: Matrix;
  readonly key: Matrix;
  readonly value: Matrix;
  readonly attentionNorm: Float32Array;
  readonly output: Matrix;
  readonly postAttentionNorm: Float32Array;
  readonly gate: Matrix;
  readonly up: Matrix;
  readonly feedForwardNorm: Float32Array;
  readonly down: Matrix;
}

export interface Weights {
  readonly config: Config;
  /** [vocabSize, hiddenSize]: the input embedding and, since it is tied, the output layer. */
  readonly embedding: Float32Array;
  readonly layers: readonly LayerWeights[];
  readonly norm: Float32Array;
  /** Every linear layer, for `dispose` and for reports. */
  readonly matrices: readonly Matrix[];
}

/** A corrupt config must not ask for all memory: the key-value cache is the one size that no tensor confirms. */
const MAX_CACHE_BYTES = 2 ** 31;

/** Makes a matrix of the tensors of one linear layer. */
type Pack = (lb: Lowbit, file: Safetensors, name: string, rows: number, cols: number, activation: Activation) => Matrix;

/** How the linear layers of a format are read. */
interface Reader {
  /** What follows a layer's name in the names of its tensors: a layer has all of them and no other. */
  readonly tensors: readonly string[];
  readonly pack: Pack;
}

/** Makes a matrix of floats. */
export type Quantize = (
  lb: Lowbit,
  w: Float32Array,
  options: { readonly rows: number; readonly cols: number; readonly activation: Activation },
) => Matrix;

export interface LoadOptions {
  readonly activation: Activation;
  /** What becomes of the linear layers of an "fp" model; packed models have no use for it. */
  readonly quantize?: Quantize | undefined;
  /** Called after each linear layer with how many are done. */
  readonly onProgress?: ((done: number, of: number) => void) | undefined;
}

/** q, k, v, o, gate, up and down. */
const LINEARS_PER_LAYER = 7;

/**
 * Checks the file against its config and brings its linear layers into lowbit's memory.
 * @param config What `readConfig` makes of the file.
 * @throws {FileError} If a tensor is missing, of a wrong kind, or one too many.
 */
export function loadWeights(lb: Lowbit, file: Safetensors, config: Config, options: LoadOptions): Weights {
  const { activation, onProgress } = options;
  const { tensors, pack } = readerOf(file, config, options);
  const { hiddenSize, intermediateSize, vocabSize } = config;
  const attentionSize = config.heads * config.headDim;
  const matrices: Matrix[] = [];
  const read = new Set<string>();

  const floats = (name: string, ...shape: number[]): Float32Array => {
    read.add(name);
    return getFloats(file, name, ["BF16", "F32"], shape);
  };
  const linear = (name: string, rows: number, cols: number): Matrix => {
    for (const tensor of tensors) read.add(name + tensor);
    const matrix = pack(lb, file, name, rows, cols, activation);
    matrices.push(matrix);
    onProgress?.(matrices.length, LINEARS_PER_LAYER * config.layers);
    return matrix;
  };

  try {
    const layers: LayerWeights[] = [];
    for (let i = 0; i < config.layers; i++) {
      const layer = `model.layers.${i}`;
      layers.push({
        inputNorm: floats(`${layer}.input_layernorm.weight`, hiddenSize),
        query: linear(`${layer}.self_attn.q_proj`, attentionSize, hiddenSize),
        key: linear(`${layer}.self_attn.k_proj`, attentionSize, hiddenSize),
        value: linear(`${layer}.self_attn.v_proj`, attentionSize, hiddenSize),
        attentionNorm: floats(`${layer}.self_attn.attn_sub_norm.weight`, attentionSize),
        output: linear(`${layer}.self_attn.o_proj`, hiddenSize, attentionSize),
        postAttentionNorm: floats(`${layer}.post_attention_layernorm.weight`, hiddenSize),
        gate: linear(`${layer}.mlp.gate_proj`, intermediateSize, hiddenSize),
        up: linear(`${layer}.mlp.up_proj`, intermediateSize, hiddenSize),
        feedForwardNorm: floats(`${layer}.mlp.ffn_sub_norm.weight`, intermediateSize),
        down: linear(`${layer}.mlp.down_proj`, hiddenSize, intermediateSize),
      });
    }
    const embedding = floats("model.embed_tokens.weight", vocabSize, hiddenSize);
    const norm = floats("model.norm.weight", hiddenSize);
    // A tensor that is left over (a seventh layer, a bias) means that this is not the model the config describes.
    for (const name of file.tensors.keys()) {
      if (!read.has(name)) throw new FileError(`${file.name}: ${name}: unexpected tensor for this config`);
    }
    return { config, embedding, layers, norm, matrices };
  } catch (error) {
    for (const matrix of matrices) matrix.dispose();
    throw error;
  }
}

function readerOf(file: Safetensors, config: Config, { quantize }: LoadOptions): Reader {
  switch (config.format) {
    case "binary":
      return { tensors: [".weight", ".weight_scale"], pack: packBinary };
    case "ternary":
      return { tensors: [".weight", ".weight_scale"], pack: packTernary };
    case "fairy1":
      return fairyReader(1);
    case "fairy2":
      return fairyReader(2);
    case "fp":
      if (quantize === undefined) {
        throw new FileError(`${file.name}: weights are floats: expected a way to quantise them`);
      }
      return {
        tensors: [".weight"],
        pack: (lb, floats, name, rows, cols, activation) =>
          quantize(lb, getFloats(floats, `${name}.weight`, ["BF16", "F32"], [rows, cols]), { rows, cols, activation }),
      };
  }
}

/** Uint8 [rows, cols / 8], the least significant bit first, 1 for +1: the packed bytes that `binary.pack` takes. */
function packBinary(
  lb: Lowbit,
  file: Safetensors,
  name: string,
  rows: number,
  cols: number,
  activation: Activation,
): Matrix {
  const signs = getTensor(file, `${name}.weight`, ["U8"], [rows, Math.ceil(cols / 8)]).data;
  const scales = getFloats(file, `${name}.weight_scale`, ["F32"], [rows]);
  return binary.pack(lb, { rows, cols, signs, scales, activation });
}

/** Two-bit codes w + 1, and one scale. */
function packTernary(
  lb: Lowbit,
  file: Safetensors,
  name: string,
  rows: number,
  cols: number,
  activation: Activation,
): Matrix {
  const packed = twoBitCodes(file, `${name}.weight`, rows, cols);
  const scales = getFloats(file, `${name}.weight_scale`, ["F32"], [1]);
  const bad = packed.indexOf(3);
  if (bad >= 0) {
    throw new FileError(
      `${file.name}: ${name}.weight: expected codes 0 to 2, got 3 in row ${Math.floor(bad / cols)}, column ${bad % cols}`,
    );
  }
  const codes = new Int8Array(packed).map((code) => code - 1);
  return ternary.pack(lb, { rows, cols, codes, scales, activation });
}

/**
 * Fairy2i: the complex matrices U and W of each stage, half the rows and half the columns of the real matrix, as
 * two-bit codes of powers of i, each with the scale of its real (codes 0, 2) and of its imaginary entries (1, 3).
 */
function fairyReader(stages: number): Reader {
  const parts = Array.from({ length: stages }, (_, t) => ({ u: `.weight.U${t}`, w: `.weight.W${t}` }));
  return {
    tensors: parts.flatMap(({ u, w }) => [u, `${u}_scale`, w, `${w}_scale`]),
    pack: (lb, file, name, rows, cols, activation) => {
      if (rows % 2 !== 0 || cols % 2 !== 0) {
        throw new FileError(`${file.name}: ${name}: expected rows and columns to be even, got ${rows} and ${cols}`);
      }
      const part = (tensor: string) => {
        const [re = 0, im = 0] = getFloats(file, `${name}${tensor}_scale`, ["F32"], [2]);
        return {
          codes: twoBitCodes(file, name + tensor, rows / 2, cols / 2),
          scales: { re: Float32Array.of(re), im: Float32Array.of(im) },
        };
      };
      return fairy2i.pack(lb, {
        rows,
        cols,
        stages: parts.map(({ u, w }) => ({ u: part(u), w: part(w) })),
        activation,
      });
    },
  };
}

/**
 * Codes 0 to 3, [rows, cols], of a tensor Uint8 [rows / 4, cols] with four rows to a byte: row r is in byte row
 * r % (rows / 4), in the bit pair r / (rows / 4).
 */
function twoBitCodes(file: Safetensors, tensor: string, rows: number, cols: number): Uint8Array {
  if (rows % 4 !== 0) {
    throw new FileError(`${file.name}: ${tensor}: expected rows to be a multiple of 4 (four a byte), got ${rows}`);
  }
  const { data } = getTensor(file, tensor, ["U8"], [rows / 4, cols]);
  const codes = new Uint8Array(rows * cols);
  for (let block = 0; block < 4; block++) {
    const start = block * data.length;
    for (let i = 0; i < data.length; i++) codes[start + i] = ((data[i] as number) >> (2 * block)) & 3;
  }
  return codes;
}

/**
 * The config of the file's metadata, checked.
 * @throws {FileError} If it is missing, or a value is missing, of a wrong kind, or not what this program computes.
 */
export function readConfig(file: Safetensors): Config {
  const text = file.metadata.get("config");
  if (text === undefined) throw new FileError(`${file.name}: __metadata__.config is missing`);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new FileError(`${file.name}: config is not valid JSON: ${reason}`);
  }
  if (typeof json !== "object" || json === null) {
    throw new FileError(`${file.name}: config: expected an object, got ${text}`);
  }
  const values = new Map<string, unknown>(Object.entries(json));
  const wrong = (key: string, expected: string): FileError =>
    new FileError(`${file.name}: config.${key}: expected ${expected}, got ${JSON.stringify(values.get(key))}`);
  const size = (key: string): number => {
    const value = values.get(key);
    if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 1) throw wrong(key, "a positive integer");
    return value;
  };
  const positive = (key: string): number => {
    const value = values.get(key);
    if (typeof value !== "number" || !Number.isFinite(value) || value <= 0) throw wrong(key, "a positive number");
    return value;
  };
  const only = (key: string, expected: string | number | boolean): void => {
    if (values.get(key) !== expected) throw wrong(key, JSON.stringify(expected));
  };

  const format = FORMATS.find((name) => name === values.get("format"));
  if (format === undefined) throw wrong("format", FORMATS.map((name) => `"${name}"`).join(", "));
  // Tokens are bytes, and the forward pass has these two choices written into it.
  only("vocab_size", 256);
  only("hidden_act", "relu2");
  only("tie_word_embeddings", true);
  const config: Config = {
    format,
    hiddenSize: size("hidden_size"),
    layers: size("num_hidden_layers"),
    heads: size("num_attention_heads"),
    headDim: size("head_dim"),
    intermediateSize: size("intermediate_size"),
    vocabSize: size("vocab_size"),
    maxPosition: size("max_position"),
    ropeTheta: positive("rope_theta"),
    rmsNormEps: positive("rms_norm_eps"),
  };
  if (config.headDim % 2 !== 0) throw wrong("head_dim", "an even number (rotary embedding turns pairs)");
  const cacheBytes = 8 * config.layers * config.maxPosition * config.heads * config.headDim;
  if (cacheBytes > MAX_CACHE_BYTES) {
    throw wrong("max_position", `a key-value cache of at most ${MAX_CACHE_BYTES} bytes (this one: ${cacheBytes})`);
  }
  return config;
}
