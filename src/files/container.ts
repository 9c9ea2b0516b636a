// Files of weights, whatever their container and number: one list of tensors, whose bytes are read when they are wanted.
import { checkInteger, rangeError, typeError } from "../lib/check.ts";
import { FileError } from "./errors.ts";
import { swapBlocks } from "./ggml-types.ts";
import { type GgufValue, MoreBytes, readGguf } from "./gguf.ts";
import type { OpenFile, Source, SourceOptions } from "./open-file.ts";
import { checkNames } from "./options.ts";
import { FIRST_BYTES, headerEnd, parseObject, readHeader } from "./safetensors.ts";
import { baseOf, isIndex, otherShards, readIndex } from "./shards.ts";
import { nameOf, openFile } from "./source.ts";
import { plain, quote, refuseKind } from "./text.ts";

/** A tensor of a file. Nothing of it is in memory. */
export interface FileTensor {
  readonly name: string;
  /** "F32", "BF16", "U8", … of safetensors; "F32", "Q4_K", "MXFP4", … of ggml. */
  readonly dtype: string;
  /** Rows before columns, also of GGUF, which has them the other way round. */
  readonly shape: readonly number[];
  readonly byteLength: number;
  /** The name of the file that has it. */
  readonly file: string;
  /**
   * Bytes of the tensor, little-endian also where the file is not: all, or those from `begin` to `end`. A copy, or a view of
   * bytes that the caller gave.
   */
  read(options?: ReadOptions): Promise<Uint8Array>;
}

export interface ReadOptions {
  readonly begin?: number | undefined;
  readonly end?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Memory that may be used again: what is returned may be a view of it, if it is long enough. */
  readonly into?: Uint8Array | undefined;
}

/** An open file, or the files of one model. */
export interface WeightFile {
  readonly container: "gguf" | "safetensors";
  readonly name: string;
  /** All files together. */
  readonly byteLength: number;
  /** Of a safetensors file texts, which are values of type "string". Of split files, those of the first. */
  readonly metadata: ReadonlyMap<string, GgufValue>;
  /** In the order of the data. */
  readonly tensors: ReadonlyMap<string, FileTensor>;
  /** Ends downloads and closes files. */
  close(): Promise<void>;
}

/**
 * Opens a GGUF or safetensors file, or all files of a model: those of an array, or those that the name of one
 * ("model-00001-of-00003.gguf") or an index ("model.safetensors.index.json") says are there. Only headers are read.
 *
 * @throws FileError for files that are absent, damaged, of another kind, or do not belong together; TypeError for a source
 * that is none; the reason of an aborted signal
 */
export async function openWeights(source: Source, options: SourceOptions = {}): Promise<WeightFile> {
  const where = "openWeights";
  checkNames(where, options, ["signal", "onProgress", "cache", "fetch", "headers", "retries"]);
  const progress = new Progress(options);
  const open: OpenFile[] = [];
  const openOne = async (one: Source): Promise<OpenFile> => {
    const file = progress.watch(await openFile(`${where}: source`, one, options));
    open.push(file);
    return file;
  };
  try {
    const sources: readonly Source[] = Array.isArray(source) ? source : [source as Source];
    if (sources.length === 0) throw rangeError(`${where}: source`, "at least one file", "none");
    const parts: Part[] = [];
    const pending = [...sources];
    let index: Index | undefined;
    while (pending.length > 0) {
      const next = pending.shift() as Source;
      const file = await openOne(next);
      if (isIndex(file.name)) {
        const text = await file.read(0, Math.min(file.size, LONGEST_INDEX), options.signal);
        index = { name: file.name, files: readIndex(file.name, parseObject(plain(file.name), text)) };
        pending.push(...withOthers(next, sources, [...new Set(index.files.values())]));
        continue;
      }
      const part = await readPart(file, options.signal);
      parts.push(part);
      if (parts.length === 1 && sources.length === 1 && pending.length === 0 && index === undefined) {
        pending.push(...otherShards(next, file.name, part.container, countOf(part)));
      }
    }
    const weights = join(parts, open);
    if (index !== undefined) checkIndex(index, weights);
    return weights;
  } catch (error) {
    await Promise.all(open.map((file) => file.close().catch(() => {})));
    throw error;
  }
}

const LONGEST_INDEX = 1 << 26;

/** Files that an index names: those beside it, or those of its names that were given with it. */
function withOthers(index: Source, given: readonly Source[], names: readonly string[]): Source[] {
  if (given.length > 1) {
    const have = new Set(given.map((one) => baseOf(nameOf(one))));
    const missing = names.filter((name) => !have.has(name));
    if (missing.length === 0) return [];
    throw new FileError(
      `${plain(nameOf(index))}: expected ${missing.slice(0, 3).map(quote).join(", ")} among the files`,
    );
  }
  return otherShards(index, nameOf(index), "safetensors", undefined, names);
}

interface Index {
  readonly name: string;
  readonly files: ReadonlyMap<string, string>;
}

function checkIndex({ name, files }: Index, { tensors }: WeightFile): void {
  for (const [tensor, file] of files) {
    const found = tensors.get(tensor)?.file;
    if (found !== undefined && baseOf(found) === file) continue;
    const got = found === undefined ? "it is in none" : `it is in ${plain(found)}`;
    throw new FileError(`${plain(name)}: weight_map: ${quote(tensor)}: expected it in ${quote(file)}, ${got}`);
  }
}

/** One file of a model. */
interface Part {
  readonly container: "gguf" | "safetensors";
  readonly file: OpenFile;
  readonly metadata: ReadonlyMap<string, GgufValue>;
  readonly tensors: readonly FileTensor[];
}

const FIRST_READ = 1 << 18;

async function readPart(file: OpenFile, signal?: AbortSignal): Promise<Part> {
  const first = await file.read(0, Math.min(FIRST_BYTES, file.size), signal);
  if (first[0] === 0x47 && first[1] === 0x47 && first[2] === 0x55) return readGgufPart(file, signal);
  // A safetensors file begins with the length of its header, of which the high bytes are zero.
  if (first[4] === 0 && first[5] === 0 && first[6] === 0 && first[7] === 0)
    return readSafetensorsPart(file, first, signal);
  if (/\.gguf$/i.test(baseOf(file.name))) return readGgufPart(file, signal);
  if (/\.safetensors$/i.test(baseOf(file.name))) return readSafetensorsPart(file, first, signal);
  return refuseKind(file.name, "GGUF or safetensors", "the beginning of one", first);
}

async function readGgufPart(file: OpenFile, signal?: AbortSignal): Promise<Part> {
  const { size } = file;
  let bytes = await file.read(0, Math.min(size, FIRST_READ), signal);
  for (;;) {
    try {
      const { metadata, tensors, bigEndian } = readGguf(file.name, bytes, size);
      const from = keepHead(file, bytes, tensors[0]?.begin ?? size);
      return {
        container: "gguf",
        file,
        metadata,
        tensors: tensors.map(({ name, type, shape, begin, end }) => {
          const swap = bigEndian ? type : undefined;
          return tensorOf(from, { name, dtype: type.name, shape, begin, end }, swap);
        }),
      };
    } catch (error) {
      if (!(error instanceof MoreBytes)) throw error;
      // Twice as much each time, so that the whole header is read no more than twice.
      const end = Math.min(size, Math.max(error.end, 2 * bytes.length));
      const longer = new Uint8Array(end);
      longer.set(bytes);
      longer.set(await file.read(bytes.length, end, signal), bytes.length);
      bytes = longer;
    }
  }
}

async function readSafetensorsPart(file: OpenFile, first: Uint8Array, signal?: AbortSignal): Promise<Part> {
  const end = headerEnd(file.name, first, file.size);
  const { metadata, entries } = readHeader(file.name, await file.read(8, end, signal), file.size);
  return {
    container: "safetensors",
    file,
    metadata: new Map([...metadata].map(([key, value]) => [key, { type: "string", value }])),
    tensors: entries.map((entry) => tensorOf(file, entry)),
  };
}

/** Bytes behind the header that came with it are kept: a stream would have to begin again for them. */
function keepHead(file: OpenFile, bytes: Uint8Array, dataAt: number): OpenFile {
  if (bytes.length <= dataAt) return file;
  const head = bytes.slice(dataAt);
  const headEnd = bytes.length;
  return {
    ...file,
    async read(begin, end, signal, into) {
      if (begin < dataAt || begin >= headEnd || end > file.size) return file.read(begin, end, signal, into);
      signal?.throwIfAborted();
      const known = head.slice(begin - dataAt, Math.min(end, headEnd) - dataAt);
      if (end <= headEnd) return known;
      const all = new Uint8Array(end - begin);
      all.set(known);
      all.set(await file.read(headEnd, end, signal), known.length);
      return all;
    },
  };
}

interface Place {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

function tensorOf(file: OpenFile, place: Place, swap?: Parameters<typeof swapBlocks>[1]): FileTensor {
  const { name, dtype, shape } = place;
  const byteLength = place.end - place.begin;
  return {
    name,
    dtype,
    shape,
    byteLength,
    file: file.name,
    async read({ begin = 0, end = byteLength, signal, into } = {}) {
      const where = `${plain(name)}.read`;
      checkInteger(`${where}: end`, end, 0, byteLength);
      checkInteger(`${where}: begin`, begin, 0, end);
      const room = into && into.length >= end - begin ? into : undefined;
      if (swap === undefined) return file.read(place.begin + begin, place.begin + end, signal, room);
      // Whole blocks are turned round, and what was asked for is cut out of them.
      const first = begin - (begin % swap.bytes);
      const last = Math.min(byteLength, Math.ceil(end / swap.bytes) * swap.bytes);
      const bytes = (await file.read(place.begin + first, place.begin + last, signal)).slice();
      swapBlocks(bytes, swap);
      return bytes.subarray(begin - first, end - first);
    },
  };
}

/** How many files a part says there are. */
function countOf({ container, metadata }: Part): number | undefined {
  if (container !== "gguf") return undefined;
  return wholeNumber(metadata.get("split.count"));
}

/** A whole number of whatever width a converter gave it; undefined for anything else. */
export function wholeNumber(value: GgufValue | undefined): number | undefined {
  if (value === undefined || value.type === "array") return undefined;
  const number = typeof value.value === "bigint" ? Number(value.value) : value.value;
  return typeof number === "number" && Number.isSafeInteger(number) ? number : undefined;
}

function join(given: readonly Part[], open: readonly OpenFile[]): WeightFile {
  const first = given[0] as Part;
  for (const part of given) {
    if (part.container === first.container) continue;
    throw new FileError(
      `${plain(part.file.name)}: expected a ${first.container} file beside ${plain(first.file.name)}`,
    );
  }
  const parts = first.container === "gguf" ? inOrder(given) : given;
  const tensors = new Map<string, FileTensor>();
  for (const part of parts) {
    for (const tensor of part.tensors) {
      const before = tensors.get(tensor.name);
      if (before !== undefined) {
        const fault = `tensor ${quote(tensor.name)} is in ${plain(before.file)}, too`;
        throw new FileError(`${plain(part.file.name)}: ${fault}`);
      }
      tensors.set(tensor.name, tensor);
    }
  }
  const { metadata, file } = parts[0] as Part;
  const total = wholeNumber(metadata.get("split.tensors.count"));
  if (parts.length > 1 && total !== undefined && total !== tensors.size) {
    throw new FileError(
      `${plain(file.name)}: "split.tensors.count": expected ${total} tensors in all files, got ${tensors.size}`,
    );
  }
  return {
    container: first.container,
    name: file.name,
    byteLength: parts.reduce((sum, part) => sum + part.file.size, 0),
    metadata,
    tensors,
    async close() {
      await Promise.all(open.map((one) => one.close()));
    },
  };
}

/** The parts of a split GGUF file by `split.no`, which counts, whatever their names are; all of them. */
function inOrder(parts: readonly Part[]): readonly Part[] {
  const [{ metadata, file }] = parts as [Part];
  const count = wholeNumber(metadata.get("split.count")) ?? 1;
  if (parts.length === 1 && count <= 1) return parts;
  const ordered = new Map<number, Part>();
  for (const part of parts) {
    const where = plain(part.file.name);
    const own = wholeNumber(part.metadata.get("split.count"));
    const no = wholeNumber(part.metadata.get("split.no"));
    if (own !== count)
      throw new FileError(`${where}: "split.count": expected ${count}, as ${plain(file.name)} has, got ${own}`);
    if (no === undefined || no < 0 || no >= count) {
      throw new FileError(`${where}: "split.no": expected 0 to ${count - 1}, got ${no}`);
    }
    const twin = ordered.get(no);
    if (twin !== undefined) throw new FileError(`${where}: "split.no": ${plain(twin.file.name)} is number ${no}, too`);
    ordered.set(no, part);
  }
  const missing: number[] = [];
  for (let no = 0; no < count && missing.length < 8; no++) if (!ordered.has(no)) missing.push(no + 1);
  if (missing.length > 0) {
    throw new FileError(
      `${plain(file.name)}: parts ${missing.join(", ")} of ${count} are missing: expected them in an array, or under names like X-00001-of-00003.gguf`,
    );
  }
  return Array.from({ length: count }, (_, no) => ordered.get(no) as Part);
}

/** Bytes that arrived, of all files of a call: what is read twice counts once. */
class Progress {
  readonly #report: SourceOptions["onProgress"];
  #loaded = 0;
  #total = 0;

  constructor({ onProgress, signal }: SourceOptions) {
    if (onProgress !== undefined && typeof onProgress !== "function") {
      throw typeError("openWeights: onProgress", "a function", onProgress);
    }
    if (signal !== undefined && !(signal instanceof AbortSignal)) {
      throw typeError("openWeights: signal", "an AbortSignal", signal);
    }
    this.#report = onProgress;
  }

  watch(file: OpenFile): OpenFile {
    if (this.#report === undefined) return file;
    this.#total += file.size;
    let furthest = 0;
    return {
      ...file,
      read: async (begin, end, signal, into) => {
        const bytes = await file.read(begin, end, signal, into);
        this.#loaded += Math.max(0, end - Math.max(begin, furthest));
        furthest = Math.max(furthest, end);
        this.#report?.(Math.min(this.#loaded, this.#total), this.#total);
        return bytes;
      },
    };
  }
}
