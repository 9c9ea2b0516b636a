// From a checkpoint to a file of lowbit's own, one tensor at a time: what is quantised is written aside, and when all records are known
// everything to its place. A model takes the memory of its largest tensor.

import { openSource } from "../files/checkpoint/folder.ts";
import { isFloat } from "../files/checkpoint/tensors.ts";
import {
  FileError,
  type FileTensor,
  ggml,
  memoryTarget,
  openWeights,
  type Source,
  type SourceOptions,
  type WeightFile,
  writeGguf,
} from "../files/index.ts";
import { OwnFile } from "../files/own/load.ts";
import { type StoredContent, saveContent } from "../files/own/save.ts";
import { type NodeFiles, type NodeHandle, nodeFiles } from "../files/runtime.ts";
import { dtypeBits } from "../files/safetensors.ts";
import type { TensorContent } from "../files/target.ts";
import { plain } from "../files/text.ts";
import type { Matrix } from "../matrix/spec.ts";
import { type StoredMatrix, storedMatrix } from "../matrix/stored.ts";
import { type Engine, engineOf } from "../runtime/engine.ts";
import type { Lowbit } from "../runtime/features.ts";
import { formatNamed, type NamedFormat } from "./named-formats.ts";
import { BESIDE, GGUF_HEADER } from "./own-file.ts";
import { floatsOf } from "./tensors.ts";

/** Tensors of a name and what becomes of them: the name of a format, or "keep". */
export interface Rule {
  readonly pattern: RegExp;
  readonly format: string;
}

export interface QuantizeFileOptions extends Pick<SourceOptions, "headers" | "signal"> {
  /** "uniform4", "lift2.4", "nf4", …: of every matrix that no rule names, embeddings, heads and routers excepted. */
  readonly format: string;
  /** The first that fits a name counts. */
  readonly rules?: readonly Rule[];
  /** Reads the file again and compares every byte; the noise of each tensor is computed in any case. */
  readonly verify?: boolean;
  /** Told after each tensor: bytes of the source that are done, and what became of the tensor. */
  readonly onTensor?: (done: number, total: number, report: TensorReport) => void;
}

/** What became of a tensor. */
export interface TensorReport {
  readonly name: string;
  readonly shape: readonly number[];
  /** `matrix.format`, or the type of a tensor that is as it was. */
  readonly format: string;
  readonly bytes: number;
  /** Σ (w - ŵ)² / Σ w², of what was quantised. */
  readonly nmse?: number;
}

/** What stays by default: tables that rows are read of, the last layer, and what chooses experts. */
const KEPT =
  /(^|\.)(embed_tokens|embed_in|tok_embeddings|wte|wpe|lm_head|embed_out|token_embd|position_embd|router|mlp\.gate|block_sparse_moe\.gate|ffn_gate_inp)\.weight$|^output\.weight$/;
/** Rows of heads that loading puts in another order, which those of a packed matrix cannot be. */
const REORDERED = /\.query_key_value\.weight$/;
/** Matrices of experts, one after the other. */
const STACKED = /_exps\.weight$/;
const KEEP = "keep";
/** Biases of experts are lists of two sizes, but no matrices. */
const BIAS = /(^|[._])bias$/;

/**
 * Quantises a checkpoint (a folder, a GGUF or a safetensors file) to one file, which `load` takes: configuration, tokenizer and
 * template are in it.
 *
 * @param target a path
 * @throws TypeError, RangeError for a format that is none, and one that a tensor does not take; FileError for damaged files and a
 * target that fails; the reason of an aborted signal. Nothing is left then
 */
export async function quantizeFile(
  lb: Lowbit,
  source: Source,
  target: string,
  options: QuantizeFileOptions,
): Promise<readonly TensorReport[]> {
  const where = "quantize";
  const engine = engineOf(where, lb);
  const { format, rules = [], headers, signal, verify, onTensor = () => {} } = options;
  const fallback = formatNamed(`${where}: format`, format);
  const named = rules.map(({ pattern, format: name }) => ({
    pattern,
    format: name === KEEP ? undefined : formatNamed(`${where}: rule ${pattern}`, name),
  }));
  const [weights, read] = await openSource("quantize", source, {
    ...(headers && { headers }),
    ...(signal && { signal }),
  });
  const spool = await Spool.open(target);
  try {
    const gguf = weights.container === "gguf";
    const content: (StoredContent | TensorContent)[] = [];
    const reports: TensorReport[] = [];
    let done = 0;
    for (const tensor of weights.tensors.values()) {
      signal?.throwIfAborted();
      const rule = named.find(({ pattern }) => pattern.test(tensor.name));
      const kept = KEPT.test(tensor.name) || (!gguf && REORDERED.test(tensor.name));
      const wanted = rule ? rule.format : kept ? undefined : fallback;
      const parts = await partsOf(lb, tensor, gguf, wanted, spool, signal);
      content.push(...parts.map((part) => part.content));
      done += tensor.byteLength;
      for (const { report } of parts) {
        reports.push(report);
        onTensor(done, weights.byteLength, report);
      }
    }
    if (gguf) content.push(await ggufHeader(weights));
    else {
      for (const name of BESIDE) {
        const bytes = await read(name);
        if (bytes) content.push({ name, dtype: "U8", shape: [bytes.length], data: bytes });
      }
    }
    await saveContent(where, target, content, { ...(signal && { signal }) });
    if (verify) await compare(engine, target, content, signal);
    return reports;
  } finally {
    await weights.close();
    await spool.close();
  }
}

interface PartOf {
  readonly content: StoredContent | TensorContent;
  readonly report: TensorReport;
}

/** A tensor as one of the file, or as several matrices. */
async function partsOf(
  lb: Lowbit,
  tensor: FileTensor,
  gguf: boolean,
  format: NamedFormat | undefined,
  spool: Spool,
  signal: AbortSignal | undefined,
): Promise<PartOf[]> {
  const { name, dtype, shape, byteLength: bytes } = tensor;
  const floats = isFloat(dtype);
  const stacked = gguf && shape.length === 3 && STACKED.test(name);
  const isMatrix = ((shape.length === 2 && !BIAS.test(name)) || stacked) && (floats || gguf);
  const blocks = gguf && dtypeBits(dtype) === undefined;
  if (!isMatrix || (!format && !blocks)) {
    if (blocks) throw new RangeError(`quantize: ${plain(name)}: expected a matrix, got ${dtype} of shape [${shape}]`);
    return [{ content: { name, dtype, shape, data: tensor }, report: { name, shape, format: dtype, bytes } }];
  }
  const [rows, cols] = shape.slice(-2) as [number, number];
  const count = stacked ? (shape[0] as number) : 1;
  const size = bytes / count;
  const parts: PartOf[] = [];
  for (let i = 0; i < count; i++) {
    const data = await tensor.read({ begin: i * size, end: (i + 1) * size, signal });
    const part = stacked ? `${name}[${i}]` : name;
    const [matrix, nmse] = await matrixOf(lb, { name: part, dtype, rows, cols, data }, format, signal);
    try {
      const stored = await spool.put(storedMatrix(`quantize: ${plain(part)}`, matrix));
      const report = { name: part, shape: [rows, cols], format: matrix.format, bytes: matrix.byteLength };
      parts.push({ content: { name: part, stored }, report: { ...report, ...(nmse !== undefined && { nmse }) } });
    } finally {
      matrix.dispose();
    }
  }
  return parts;
}

interface Weights {
  readonly name: string;
  readonly dtype: string;
  readonly rows: number;
  readonly cols: number;
  readonly data: Uint8Array;
}

/** Quantised, and what that does to the weights; without a format the blocks of ggml as they are. */
async function matrixOf(
  lb: Lowbit,
  { name, dtype: type, rows, cols, data }: Weights,
  format: NamedFormat | undefined,
  signal: AbortSignal | undefined,
): Promise<[matrix: Matrix, nmse?: number]> {
  const given = { type, rows, cols, data, name };
  if (!format) return [ggml.matrix(lb, given)];
  const w = floatsOf({ dtype: type, shape: [rows, cols], data }) ?? ggml.decode(given);
  try {
    const matrix = await format.quantize(lb, w, { rows, cols, ...(signal && { signal }) });
    return [matrix, noiseOf(matrix, w)];
  } catch (error) {
    signal?.throwIfAborted();
    if (!(error instanceof RangeError)) throw error;
    const shape = `${rows} x ${cols}`;
    throw new RangeError(
      `quantize: ${plain(name)} (${shape}): ${error.message}; a rule may keep it or give it another format`,
      {
        cause: error,
      },
    );
  }
}

/** Rows that are dequantised at once. */
const SOME_ROWS = 256;

function noiseOf(matrix: Matrix, w: Float32Array): number {
  const { rows, cols } = matrix;
  let error = 0;
  let power = 0;
  for (let row = 0; row < rows; row += SOME_ROWS) {
    const ids = Uint32Array.from({ length: Math.min(SOME_ROWS, rows - row) }, (_, i) => row + i);
    const some = matrix.dequantizeRows(ids);
    for (let i = 0, at = row * cols; i < some.length; i++, at++) {
      const value = w[at] as number;
      const difference = value - (some[i] as number);
      error += difference * difference;
      power += value * value;
    }
  }
  return power === 0 ? 0 : error / power;
}

/** What a GGUF file says, without its tensors. */
async function ggufHeader({ metadata }: WeightFile): Promise<TensorContent> {
  const header = memoryTarget();
  const own = new Map([...metadata].filter(([key]) => !key.startsWith("split.")));
  await writeGguf(header, { metadata: own, tensors: [] });
  const bytes = header.bytes();
  return { name: GGUF_HEADER, dtype: "U8", shape: [bytes.length], data: bytes };
}

/** Loads what was written, each matrix by itself, and compares its bytes with those that were put aside. */
async function compare(
  engine: Engine,
  target: string,
  content: readonly (StoredContent | TensorContent)[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const file = await openWeights(target, { ...(signal && { signal }) });
  try {
    const own = new OwnFile(file);
    for (const one of content) {
      if (!("stored" in one)) {
        await own.tensors([one.name], signal);
        continue;
      }
      const loaded = await own.load(engine, [one.name], { signal });
      const matrix = loaded.matrices.get(one.name) as Matrix;
      const back = storedMatrix(`quantize: ${plain(one.name)}`, matrix);
      for (let at = 0; at < back.bytes; at += PIECE) {
        const end = Math.min(at + PIECE, back.bytes);
        const expected = await one.stored.read(at, end);
        if (back.read(at, end).every((byte, i) => byte === expected[i])) continue;
        throw new FileError(
          `${plain(target)}: ${plain(one.name)}: expected the bytes that were written, got others from ${at} on`,
        );
      }
      matrix.dispose();
    }
  } finally {
    await file.close();
  }
}

const PIECE = 1 << 20;

/** Bytes of matrices that wait for their file, in one beside it. */
class Spool {
  readonly #files: NodeFiles;
  readonly #path: string;
  readonly #handle: NodeHandle;
  #end = 0;

  private constructor(files: NodeFiles, path: string, handle: NodeHandle) {
    this.#files = files;
    this.#path = path;
    this.#handle = handle;
  }

  static async open(target: string): Promise<Spool> {
    const files = nodeFiles();
    if (!files) throw new TypeError("quantize: target: expected a path, of which there are none here");
    const path = `${target}.${Math.random().toString(36).slice(2)}.part`;
    const handle = await files.open(path, "wx+").catch((error) => {
      throw new FileError(`${plain(target)}: cannot be written: ${error instanceof Error ? error.message : error}`);
    });
    return new Spool(files, path, handle);
  }

  async put({ record, bytes, read }: StoredMatrix): Promise<StoredContent["stored"]> {
    const first = this.#end;
    for (let at = 0; at < bytes; at += PIECE) {
      const piece = read(at, Math.min(at + PIECE, bytes));
      for (let done = 0; done < piece.length; ) {
        const { bytesWritten } = await this.#handle.write(piece, done, piece.length - done, this.#end);
        done += bytesWritten;
        this.#end += bytesWritten;
      }
    }
    return { record, bytes, read: (begin, end) => this.#read(first + begin, first + end) };
  }

  async #read(begin: number, end: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(end - begin);
    for (let done = 0; done < bytes.length; ) {
      const { bytesRead } = await this.#handle.read(bytes, done, bytes.length - done, begin + done);
      if (bytesRead === 0) throw new FileError(`${plain(this.#path)}: expected ${bytes.length - done} bytes more`);
      done += bytesRead;
    }
    return bytes;
  }

  async close(): Promise<void> {
    await this.#handle.close().catch(() => {});
    await this.#files.rm(this.#path, { force: true });
  }
}
