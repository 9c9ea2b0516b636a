// Matrices and tensors as a file of ours.
import { checkOptions, rangeError, typeError } from "../../lib/check.ts";
import type { ComplexMatrix } from "../../matrix/complex.ts";
import type { Matrix } from "../../matrix/spec.ts";
import { isMatrix, type StoredMatrix, storedMatrix } from "../../matrix/stored.ts";
import { checkNames } from "../options.ts";
import { piecesOf, type Target, type TensorContent } from "../target.ts";
import { plain, quote } from "../text.ts";
import { type WriteOptions, writeFiles } from "../write-files.ts";
import { checkTensors, planSafetensors } from "../write-safetensors.ts";
import { Checksum } from "./checksum.ts";
import {
  CHECKSUMS,
  HEADER_KEY,
  headerSum,
  MATRICES_KEY,
  PREFIX,
  SUM_BYTES,
  sorted,
  VERSION,
  VERSION_KEY,
} from "./header.ts";

/** A tensor that is no matrix, as it is: `dtype` is one of safetensors. */
export type PlainTensor = Omit<TensorContent, "name">;

/** What a file holds, by name. */
export type FileContent<T = Matrix | ComplexMatrix | PlainTensor> =
  | Readonly<Record<string, T>>
  | ReadonlyMap<string, T>;

export interface SaveOptions extends Pick<WriteOptions, "signal" | "onProgress"> {
  /** Texts of your own. Keys that begin with "lowbit." are not. */
  readonly metadata?: Readonly<Record<string, string>> | ReadonlyMap<string, string> | undefined;
}

const NAMES = ["signal", "onProgress", "metadata"] as const;
const PIECE = 1 << 20;

/**
 * Writes matrices of any format and plain tensors as one safetensors file: the stored bytes as they are in memory, and in the
 * metadata what they mean. `loadMatrices` copies them back. The same matrices give the same file everywhere.
 *
 * @throws TypeError, RangeError for what makes no valid file, before anything is written, and for a matrix that is disposed of
 * meanwhile; FileError for a target that fails; the reason of an aborted signal. Nothing half-written is left.
 */
export async function saveMatrices(target: Target, content: FileContent, options: SaveOptions = {}): Promise<void> {
  const where = "saveMatrices";
  checkOptions(`${where}: content`, content);
  checkNames(where, options, NAMES);
  const entries = content instanceof Map ? [...content] : Object.entries(content);
  await saveContent(
    where,
    target,
    entries.map(([name, value]) => {
      const at = `${where}: ${plain(String(name))}`;
      if (isMatrix(value)) return { name, stored: storedMatrix(at, value) };
      checkOptions(at, value);
      const { dtype, shape, data } = value as PlainTensor;
      return { name, dtype, shape, data };
    }),
    options,
  );
}

/** `saveMatrices` of one matrix, which is called "matrix" in the file; `loadMatrix` is the way back. */
export async function saveMatrix(
  target: Target,
  matrix: Matrix | ComplexMatrix,
  options: SaveOptions = {},
): Promise<void> {
  if (!isMatrix(matrix)) throw typeError("saveMatrix: matrix", "a matrix of this package", matrix);
  await saveMatrices(target, { matrix }, options);
}

/** A matrix whose bytes are somewhere: in linear memory, or written aside. */
export interface StoredContent {
  readonly name: string;
  readonly stored: Pick<StoredMatrix, "record" | "bytes"> & {
    read(begin: number, end: number): Uint8Array | Promise<Uint8Array>;
  };
}

/** The work of saveMatrices, for callers that have looked at the arguments. */
export async function saveContent(
  where: string,
  target: Target,
  content: readonly (StoredContent | TensorContent)[],
  { metadata: given = {}, ...options }: SaveOptions,
): Promise<void> {
  const metadata = new Map<string, string>(given instanceof Map ? given : Object.entries(given));
  for (const key of [...metadata.keys(), ...content.map(({ name }) => name)]) {
    if (typeof key === "string" && key.startsWith(PREFIX)) {
      throw rangeError(where, `names that do not begin with ${quote(PREFIX)}`, quote(key));
    }
  }
  const matrices = content.filter((one): one is StoredContent => "stored" in one);
  metadata.set(VERSION_KEY, VERSION);
  metadata.set(
    MATRICES_KEY,
    JSON.stringify(Object.fromEntries(matrices.map(({ name, stored }) => [name, stored.record]))),
  );
  const tensors = content.map((one) => ("stored" in one ? asTensor(one, options.signal) : one));
  const sums = new Map<string, Uint8Array>();
  // Names, types and shapes are checked before anything is made of them.
  const watched = checkTensors(where, tensors).map(({ tensor, bytes }) => ({
    ...tensor,
    data: () => summed(where, tensor, bytes, sums, options.signal),
  }));
  const last: TensorContent = {
    name: CHECKSUMS,
    dtype: "U8",
    shape: [SUM_BYTES * tensors.length],
    data: () => sorted(tensors).map(({ name }) => sums.get(name) as Uint8Array),
  };
  const all = [...watched, last];
  metadata.set(HEADER_KEY, headerSum(metadata, all));
  const plan = planSafetensors(where, { metadata, tensors: all }, options.signal, last);
  await writeFiles(where, target, [plan], options);
}

function asTensor({ name, stored }: StoredContent, signal: AbortSignal | undefined): TensorContent {
  return {
    name,
    dtype: "U8",
    shape: [stored.bytes],
    async *data() {
      for (let at = 0; at < stored.bytes; at += PIECE) {
        signal?.throwIfAborted();
        yield stored.read(at, Math.min(at + PIECE, stored.bytes));
      }
    },
  };
}

/** The bytes of a tensor, of which a checksum is made on the way. */
async function* summed(
  where: string,
  { name, data }: TensorContent,
  length: number,
  sums: Map<string, Uint8Array>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  const at = `${where}: ${plain(name)}`;
  const sum = new Checksum();
  for await (const piece of piecesOf(at, data, length, signal)) {
    sum.update(piece);
    yield piece;
  }
  sums.set(name, sum.digest());
}
