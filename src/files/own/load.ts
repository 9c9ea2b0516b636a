// Files of ours back into linear memory: bytes are copied as they are, in pieces, and their checksums made on the way.
import type { Activation } from "../../kernels/types.ts";
import { ACTIVATIONS } from "../../kernels/types.ts";
import { checkChoice, rangeError, typeError } from "../../lib/check.ts";
import { nearest } from "../../lib/options.ts";
import { type ComplexMatrix, HalvesMatrix } from "../../matrix/complex.ts";
import type { PackedMatrix } from "../../matrix/packed.ts";
import { type Restoring, type Room, restoring, serves } from "../../matrix/restore.ts";
import type { Matrix } from "../../matrix/spec.ts";
import { type Engine, engineOf } from "../../runtime/engine.ts";
import type { Lowbit } from "../../runtime/features.ts";
import { type FileTensor, openWeights, type WeightFile } from "../container.ts";
import { FileError } from "../errors.ts";
import type { Source, SourceOptions } from "../open-file.ts";
import { checkNames } from "../options.ts";
import { plain, quote } from "../text.ts";
import { Checksum, hexOf } from "./checksum.ts";
import { CHECKSUMS, isOwn, readOwnHeader, SUM_BYTES, sorted } from "./header.ts";
import { storedFormats } from "./stored-formats.ts";

/** A tensor that is no matrix, in memory. */
export interface LoadedTensor {
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Little-endian. */
  readonly data: Uint8Array;
}

/** What a file of ours holds. */
export interface LoadedMatrices {
  readonly matrices: ReadonlyMap<string, Matrix>;
  readonly complexMatrices: ReadonlyMap<string, ComplexMatrix>;
  readonly tensors: ReadonlyMap<string, LoadedTensor>;
  /** What `saveMatrices` was given. */
  readonly metadata: ReadonlyMap<string, string>;
  /** Disposes of all matrices. */
  dispose(): void;
}

export interface LoadMatricesOptions extends SourceOptions {
  /** What to load. Default: everything. */
  readonly names?: readonly string[] | undefined;
  /**
   * The contract of activations in place of the one that a matrix was packed for, where the same stored bytes serve both. Formats
   * that have but one, as `dense` does, keep it.
   */
  readonly activation?: Activation | undefined;
}

const SOURCE_NAMES = ["signal", "onProgress", "cache", "fetch", "headers", "retries"] as const;
/** Bytes that are read at once: they stay in a second-level cache until they are copied and counted. */
const PIECE = 1 << 18;

/**
 * Loads a file of `saveMatrices`: no weight is looked at, let alone packed anew. Memory for all matrices is there before the first
 * byte is read, and beside it a piece of 256 KiB.
 *
 * @throws FileError for a file that is damaged, of another kind, or made by a version of lowbit that knows more; RangeError for
 * names that it does not have, and an activation that its bytes do not serve; OutOfMemoryError; the reason of an aborted signal. All memory is given back then
 */
export async function loadMatrices(
  lb: Lowbit,
  source: Source,
  options: LoadMatricesOptions = {},
): Promise<LoadedMatrices> {
  const where = "loadMatrices";
  const engine = engineOf(where, lb);
  checkNames(where, options, [...SOURCE_NAMES, "names", "activation"]);
  const { names, activation, ...given } = options;
  if (activation !== undefined) checkChoice(`${where}: activation`, activation, ACTIVATIONS);
  if (names !== undefined && !Array.isArray(names)) throw typeError(`${where}: names`, "a list of names", names);
  const file = await openWeights(source, given);
  try {
    const own = new OwnFile(file);
    for (const name of names ?? []) own.check(where, name);
    if (activation !== undefined) own.checkActivation(where, names ?? own.names, activation);
    const loaded = await own.load(engine, names ?? [...own.names], { activation, signal: given.signal });
    const { matrices, complexMatrices, tensors } = loaded;
    return { matrices, complexMatrices, tensors, metadata: own.metadata, dispose: () => dispose(loaded) };
  } finally {
    await file.close();
  }
}

/** The one matrix of a file that has no more, as those of `saveMatrix`. As `loadMatrices` otherwise. */
export async function loadMatrix(
  lb: Lowbit,
  source: Source,
  options: Omit<LoadMatricesOptions, "names"> = {},
): Promise<Matrix | ComplexMatrix> {
  const loaded = await loadMatrices(lb, source, options);
  const all = [...loaded.matrices.values(), ...loaded.complexMatrices.values()];
  const [matrix] = all;
  if (matrix !== undefined && all.length === 1) return matrix;
  loaded.dispose();
  throw rangeError("loadMatrix: source", "a file of one matrix", `one of ${all.length}`);
}

function dispose({ matrices, complexMatrices }: Pick<LoadedMatrices, "matrices" | "complexMatrices">): void {
  for (const matrix of [...matrices.values(), ...complexMatrices.values()]) matrix.dispose();
}

interface Restored {
  readonly matrices: Map<string, PackedMatrix>;
  readonly complexMatrices: Map<string, HalvesMatrix>;
  readonly tensors: Map<string, LoadedTensor>;
  /** Checksums of all of them. */
  readonly sums: Map<string, string>;
}

/** An open file of ours, of which parts are loaded. */
export class OwnFile {
  readonly #file: WeightFile;
  readonly #header: ReturnType<typeof readOwnHeader>;
  #sums: ReadonlyMap<string, string> | undefined;

  /** @throws FileError for a file that is not one */
  constructor(file: WeightFile) {
    this.#file = file;
    this.#header = readOwnHeader(file);
  }

  static is(file: WeightFile): boolean {
    return isOwn(file);
  }

  get metadata(): ReadonlyMap<string, string> {
    return this.#header.metadata;
  }

  /** Of all matrices and tensors, in the order of the data. */
  get names(): readonly string[] {
    return [...this.#file.tensors.keys()].filter((name) => name !== CHECKSUMS);
  }

  /** Rows and columns of a matrix; undefined for another tensor. */
  shapeOf(name: string): readonly [rows: number, cols: number] | undefined {
    const record = this.#header.matrices.get(name);
    return record && [record.rows, record.cols];
  }

  /** What `format` of a matrix will be; of another tensor its type. */
  labelOf(name: string): string {
    return this.#header.matrices.get(name)?.label ?? (this.#file.tensors.get(name) as FileTensor).dtype;
  }

  check(where: string, name: unknown): void {
    if (typeof name !== "string") throw typeError(`${where}: names`, "names", name);
    if (name !== CHECKSUMS && this.#file.tensors.has(name)) return;
    const near = nearest(name, this.names);
    throw rangeError(
      `${where}: names`,
      near === undefined ? "names of the file" : `names of the file (did you mean ${quote(near)}?)`,
      quote(name),
    );
  }

  /** Tensors that are no matrices. @throws as loadMatrices */
  async tensors(names: Iterable<string>, signal?: AbortSignal): Promise<ReadonlyMap<string, LoadedTensor>> {
    const tensors = new Map<string, LoadedTensor>();
    const found = new Map<string, string>();
    for (const name of names) {
      const tensor = this.#file.tensors.get(name) as FileTensor;
      found.set(name, hexOf((await this.#read({ name, tensor }, tensors, signal)).digest()));
    }
    await this.#verify(found, signal);
    return tensors;
  }

  /** @throws RangeError for a matrix whose stored bytes are not those of that contract */
  checkActivation(where: string, names: readonly string[], activation: Activation): void {
    for (const name of names) {
      const record = this.#header.matrices.get(name);
      if (!record || serves(record, storedFormats, activation)) continue;
      const got = `${quote(name)}, whose bytes were packed for another`;
      throw rangeError(`${where}: activation`, `matrices that can take ${quote(activation)}`, got);
    }
  }

  /**
   * @param names some of `names`
   * @throws as loadMatrices
   */
  async load(
    engine: Engine,
    names: Iterable<string>,
    { signal, ...contracts }: Contracts & { readonly signal?: AbortSignal | undefined },
  ): Promise<Restored> {
    const wanted = new Set(names);
    // In the order of the data, which is that of a stream.
    const jobs = this.names
      .filter((name) => wanted.has(name))
      .map((name): Job => {
        const tensor = this.#file.tensors.get(name) as FileTensor;
        return { name, tensor, plan: this.#plan(name, tensor, contracts) };
      });
    const { arena } = engine;
    const rooms = new Map<Job, Room>();
    const done: Restored = { matrices: new Map(), complexMatrices: new Map(), tensors: new Map(), sums: new Map() };
    let state: number | undefined;
    try {
      reserve(
        engine,
        jobs.reduce((sum, { plan }) => sum + (plan?.memory ?? 0), 0),
      );
      state = arena.allocate(64);
      for (const job of jobs) if (job.plan) rooms.set(job, job.plan.allocate(engine));
      for (const job of jobs) {
        const room = rooms.get(job);
        const sum = room
          ? await fill(engine, state, job.tensor, room, signal)
          : await this.#read(job, done.tensors, signal);
        done.sums.set(job.name, hexOf(sum.digest()));
      }
      await this.#verify(done.sums, signal);
      for (const [{ name }, room] of rooms) {
        const matrix = this.#blamed(name, () => room.finish());
        if (matrix instanceof HalvesMatrix) done.complexMatrices.set(name, matrix);
        else done.matrices.set(name, matrix);
      }
      return done;
    } catch (error) {
      dispose(done);
      for (const room of rooms.values()) room.release();
      throw error;
    } finally {
      if (state !== undefined) arena.release(state);
    }
  }

  /** Of a matrix; undefined for another tensor. */
  #plan(name: string, tensor: FileTensor, { activation, prefer }: Contracts): Restoring | undefined {
    const record = this.#header.matrices.get(name);
    if (record === undefined) return undefined;
    const asked = activation ?? (prefer && serves(record, storedFormats, prefer) ? prefer : undefined);
    return this.#blamed(name, () => {
      const plan = restoring("record", record, storedFormats, asked);
      if (plan.bytes === tensor.byteLength) return plan;
      throw rangeError("record", `${tensor.byteLength} bytes, as the tensor has`, `one of ${plan.bytes}`);
    });
  }

  /** What is wrong with a record or with bytes is a fault of the file. */
  #blamed<T>(name: string, body: () => T): T {
    try {
      return body();
    } catch (error) {
      if (!(error instanceof RangeError) && !(error instanceof TypeError)) throw error;
      throw new FileError(`${plain(this.#file.name)}: ${plain(name)}: ${error.message}`, { cause: error });
    }
  }

  async #read(
    { name, tensor }: Omit<Job, "plan">,
    tensors: Map<string, LoadedTensor>,
    signal?: AbortSignal,
  ): Promise<Checksum> {
    const { dtype, shape, byteLength } = tensor;
    const data = new Uint8Array(byteLength);
    const sum = new Checksum();
    for await (const { piece, at } of pieces(tensor, signal)) {
      data.set(piece, at);
      sum.update(data.subarray(at, at + piece.length));
    }
    tensors.set(name, { dtype, shape, data });
    return sum;
  }

  async #verify(found: ReadonlyMap<string, string>, signal?: AbortSignal): Promise<void> {
    this.#sums ??= await this.#readSums(signal);
    for (const [name, sum] of found) {
      const expected = this.#sums.get(name);
      if (expected === sum) continue;
      const where = `${plain(this.#file.name)}: ${plain(name)}`;
      throw new FileError(`${where}: expected bytes of checksum ${expected}, got ${sum}: they are damaged`);
    }
  }

  async #readSums(signal?: AbortSignal): Promise<ReadonlyMap<string, string>> {
    const bytes = await (this.#file.tensors.get(CHECKSUMS) as FileTensor).read({ signal });
    const tensors = sorted([...this.#file.tensors.values()].filter(({ name }) => name !== CHECKSUMS));
    return new Map(tensors.map(({ name }, i) => [name, hexOf(bytes.subarray(i * SUM_BYTES, (i + 1) * SUM_BYTES))]));
  }
}

interface Contracts {
  /** In place of the recorded one; `checkActivation` says where that is possible. */
  readonly activation?: Activation | undefined;
  /** The same, but only where it is possible. */
  readonly prefer?: Activation | undefined;
}

interface Job {
  readonly name: string;
  readonly tensor: FileTensor;
  readonly plan: Restoring | undefined;
}

/** Lets memory grow once, by as much as is needed, so that what does not fit is known before anything is read. */
function reserve({ arena }: Engine, bytes: number): void {
  if (bytes > 0) arena.release(arena.allocate(bytes));
}

async function* pieces(
  tensor: FileTensor,
  signal: AbortSignal | undefined,
): AsyncGenerator<{ readonly piece: Uint8Array; readonly at: number }> {
  // A piece is dealt with before the next is read. New memory for each would take longer than reading does.
  const into = new Uint8Array(Math.min(PIECE, tensor.byteLength));
  for (let at = 0; at < tensor.byteLength; at += PIECE) {
    const end = Math.min(at + PIECE, tensor.byteLength);
    yield { piece: await tensor.read({ begin: at, end, signal, into }), at };
  }
}

/** Copies the bytes of a tensor to where they belong. */
async function fill(
  engine: Engine,
  state: number,
  tensor: FileTensor,
  { regions }: Room,
  signal: AbortSignal | undefined,
): Promise<Checksum> {
  const sum = new Checksum();
  let index = 0;
  let filled = 0;
  for await (const { piece } of pieces(tensor, signal)) {
    for (let from = 0; from < piece.length; ) {
      const region = regions[index] as Room["regions"][number];
      const size = region instanceof Uint8Array ? region.length : region.bytes;
      const count = Math.min(size - filled, piece.length - from);
      const part = piece.subarray(from, from + count);
      if (region instanceof Uint8Array) {
        region.set(part, filled);
        sum.update(part);
      } else {
        const address = region.address + filled;
        engine.arena.bytes.set(part, address);
        // Whole steps: regions and pieces are multiples of 64 bytes.
        sum.updateAt(engine, state, address, count);
      }
      from += count;
      filled += count;
      if (filled < size) continue;
      index++;
      filled = 0;
    }
  }
  return sum;
}
