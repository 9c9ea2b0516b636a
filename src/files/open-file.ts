// What sources are, and files that are open.
import { bytesOf, kindOf } from "../lib/arrays.ts";
import { typeError } from "../lib/check.ts";
import { FileError } from "./errors.ts";
import { plain } from "./text.ts";

/** Ranges of one's own. `read` may give fewer bytes than were asked for, but at least one. */
export interface ByteSource {
  readonly size: number;
  read(begin: number, end: number, signal?: AbortSignal): Promise<Uint8Array>;
  /** What messages call it, and how its kind and its number among shards are told. */
  readonly name?: string;
}

/**
 * A path (Node, Deno, Bun), a URL, "hf:owner/repo/file" or "hf:owner/repo@revision/file", a File or Blob, bytes, ranges of
 * one's own; the files of one model as an array.
 */
export type Source = string | URL | Blob | ArrayBuffer | Uint8Array | ByteSource | readonly Source[];

/** Keeps files by address and validator. What it throws makes a load go on without it. */
export interface ByteCache {
  /** What is there: bytes from the first on, `size` of them, perhaps not all. Undefined: nothing, or of another validator. */
  open(url: string, validator: string): Promise<ByteSource | undefined>;
  /** Keeps bytes that begin at `at`, which is not beyond what is there. */
  write(url: string, validator: string, at: number, bytes: Uint8Array): Promise<void>;
  /** Forgets the file, whatever its validator. */
  remove(url: string): Promise<void>;
}

export interface SourceOptions {
  readonly signal?: AbortSignal | undefined;
  /** Bytes that have arrived, and of how many: those of the files that are open by then. */
  readonly onProgress?: ((loaded: number, total: number) => void) | undefined;
  /**
   * Where downloads are kept: "auto" (default: OPFS, then the Cache API, in browsers; a folder elsewhere), "none", or a cache
   * of one's own.
   */
  readonly cache?: "auto" | "none" | ByteCache | undefined;
  /** In place of the global one: for tokens and proxies. */
  readonly fetch?: typeof fetch | undefined;
  /** Sent with requests: `{ authorization: "Bearer …" }`. Not to another host, when a server redirects there. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Attempts in a row that may bring nothing before a download is given up. Default 5. */
  readonly retries?: number | undefined;
}

/** One open file. */
export interface OpenFile {
  readonly name: string;
  readonly size: number;
  /**
   * Exactly the bytes from begin to end: a copy, or a view of bytes that the caller gave.
   * @param into memory for at least as many bytes, where the copy may be made
   */
  read(begin: number, end: number, signal?: AbortSignal, into?: Uint8Array): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** One line of what went wrong. */
export function reasonOf(error: unknown): string {
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown };
  return plain(typeof code === "string" ? code : typeof message === "string" ? message : String(error));
}

/** An open file of reads that may come short. */
export function wrap(
  name: string,
  size: number,
  read: OpenFile["read"],
  close: () => Promise<void> = async () => {},
): OpenFile {
  const piece = async (begin: number, end: number, signal?: AbortSignal, into?: Uint8Array): Promise<Uint8Array> => {
    signal?.throwIfAborted();
    const got: unknown = await read(begin, end, signal, into);
    signal?.throwIfAborted();
    if (kindOf(got) !== "Uint8Array") throw typeError(`${plain(name)}: read`, "a promise of a Uint8Array", got);
    const bytes = bytesOf(got as Uint8Array);
    if (bytes.length > 0 && bytes.length <= end - begin) return bytes;
    const what = bytes.length === 0 ? "none: it is shorter than it was" : `${bytes.length}`;
    throw new FileError(`${plain(name)}: expected 1 to ${end - begin} bytes at byte ${begin}, got ${what}`);
  };
  return {
    name,
    size,
    close,
    async read(begin, end, signal, into) {
      signal?.throwIfAborted();
      if (!(begin >= 0 && begin <= end && end <= size)) {
        throw new FileError(`${plain(name)}: file is truncated: expected bytes ${begin} to ${end}, got ${size} bytes`);
      }
      if (begin === end) return new Uint8Array(0);
      const first = await piece(begin, end, signal, into);
      if (first.length === end - begin) return first;
      const all = new Uint8Array(end - begin);
      all.set(first);
      for (let at = first.length; at < all.length; ) {
        const next = await piece(begin + at, end, signal);
        all.set(next, at);
        at += next.length;
      }
      return all;
    },
  };
}
