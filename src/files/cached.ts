// Files of servers, kept while they are read: from the first byte to as far as reads went, and gone on with from there.
import { byteCacheOf } from "./cache.ts";
import { FileError } from "./errors.ts";
import { type ByteCache, type OpenFile, type SourceOptions, wrap } from "./open-file.ts";
import { type Arrived, Remote, Renewed } from "./remote.ts";
import { impostor, plain } from "./text.ts";

/** Bytes that are written at once: what is in flight, beside what the network holds. */
const BLOCK = 1 << 22;
/** Pieces are not much smaller, however little is read at a time. */
const LEAST = 1 << 20;

/** Of each cache, the last of those who fill an entry: two loads of one address share a file. */
const turns = /* @__PURE__ */ new WeakMap<ByteCache, Map<string, Promise<unknown>>>();

/**
 * @throws FileError for an answer that is no file; the reason of an aborted signal
 */
export async function openCached(url: URL, options: SourceOptions): Promise<OpenFile> {
  const remote = new Remote(url, options);
  await remote.open(options.signal);
  const { name } = remote;
  const { size } = remote.identity;
  if (size === undefined) {
    // Only its end says how long it is: it is read to there.
    const bytes = await remote.readToEnd(options.signal);
    return wrap(name, bytes.length, async (begin, end) => bytes.subarray(begin, end));
  }
  const cache = validatorOf(remote) === undefined ? undefined : await byteCacheOf(options.cache);
  const kept = cache && new Kept(cache, url.href, size, remote);
  const read = async (begin: number, end: number, signal?: AbortSignal): Promise<Uint8Array> => {
    const bytes = await (kept ? kept.read(begin, end, signal) : remote.read(begin, end, signal));
    remote.given = true;
    return bytes;
  };
  return wrap(name, size, read, () => remote.close());
}

// Without a validator nothing says that what is kept belongs to what is there now.
function validatorOf({ identity: { etag, modified, size } }: Remote): string | undefined {
  const validator = etag ?? modified;
  return validator === undefined ? undefined : `${validator} ${size}`;
}

class Kept {
  readonly #cache: ByteCache;
  readonly #url: string;
  readonly #size: number;
  readonly #remote: Remote;
  #usable = true;

  constructor(cache: ByteCache, url: string, size: number, remote: Remote) {
    this.#cache = cache;
    this.#url = url;
    this.#size = size;
    this.#remote = remote;
  }

  async read(begin: number, end: number, signal?: AbortSignal): Promise<Uint8Array> {
    for (let renewals = 0; this.#usable; renewals++) {
      try {
        const bytes = await this.#inTurn(() => this.#readKept(begin, end, signal));
        if (bytes !== undefined) return bytes;
      } catch (error) {
        if (!(error instanceof Renewed) || renewals > 2) throw error;
        await this.#forget();
      }
    }
    return this.#remote.read(begin, end, signal);
  }

  /** One after the other, whoever fills this entry of this cache. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const entries = turns.get(this.#cache) ?? new Map<string, Promise<unknown>>();
    turns.set(this.#cache, entries);
    const result = (entries.get(this.#url) ?? Promise.resolve()).then(work);
    const last = result.then(
      () => {},
      () => {},
    );
    entries.set(this.#url, last);
    last.then(() => {
      if (entries.get(this.#url) === last) entries.delete(this.#url);
    });
    return result;
  }

  /** Undefined where the cache cannot be used. */
  async #readKept(begin: number, end: number, signal?: AbortSignal): Promise<Uint8Array | undefined> {
    signal?.throwIfAborted();
    const validator = validatorOf(this.#remote) as string;
    let entry = await this.#attempt(() => this.#cache.open(this.#url, validator));
    let filled = entry?.size ?? 0;
    if (filled > this.#size) {
      await this.#forget();
      entry = undefined;
      filled = 0;
    }
    while (this.#usable && filled < end) {
      const block = Math.min(filled + BLOCK, Math.max(end, filled + LEAST), this.#size);
      const arrived: Arrived = { bytes: new Uint8Array(0) };
      try {
        arrived.bytes = await this.#remote.read(filled, block, signal, arrived);
      } catch (error) {
        if (!(error instanceof Renewed)) await this.#write(validator, filled, arrived.bytes);
        throw error;
      }
      const instead = filled === 0 ? impostor(arrived.bytes) : undefined;
      if (instead !== undefined) throw new FileError(`${plain(this.#remote.name)}: expected a file, got ${instead}`);
      await this.#write(validator, filled, arrived.bytes);
      filled += arrived.bytes.length;
      entry = undefined;
    }
    if (!this.#usable) return undefined;
    if (filled === this.#size) await this.#remote.close();
    entry ??= await this.#attempt(() => this.#cache.open(this.#url, validator));
    if (entry === undefined || entry.size < end) {
      this.#usable = false;
      return undefined;
    }
    const kept = entry;
    return this.#attempt(async () => {
      const out = new Uint8Array(end - begin);
      for (let at = 0; at < out.length; ) {
        const bytes = await kept.read(begin + at, end, signal);
        if (bytes.length === 0 || bytes.length > out.length - at) throw new RangeError("the cache is short");
        out.set(bytes, at);
        at += bytes.length;
      }
      return out;
    });
  }

  async #write(validator: string, at: number, bytes: Uint8Array): Promise<void> {
    if (bytes.length > 0) await this.#attempt(() => this.#cache.write(this.#url, validator, at, bytes));
  }

  /** A cache that fails, as one that is full does, is done without; what is half there is removed. */
  async #attempt<T>(work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch {
      this.#usable = false;
      await this.#forget();
      return undefined;
    }
  }

  async #forget(): Promise<void> {
    await this.#cache.remove(this.#url).catch(() => {});
  }
}
