// Where files are written to. What is not whole is not there: a path gets its file by renaming, a stream is aborted.
import { kindOf } from "../lib/arrays.ts";
import { typeError } from "../lib/check.ts";
import { FileError } from "./errors.ts";
import { reasonOf } from "./open-file.ts";
import { nodeFiles, nodePath } from "./runtime.ts";
import { plain } from "./text.ts";

/** A sink of one's own. Each call is waited for before the next. */
export interface ByteTarget {
  write(bytes: Uint8Array): Promise<void>;
  /** All is written. */
  close(): Promise<void>;
  /** Something failed: what was written is to be forgotten. */
  abort(reason: unknown): Promise<void>;
}

/** A path or file: URL (Node, Deno, Bun), a stream, a FileSystemFileHandle, or a sink of one's own. */
export type Target = string | URL | WritableStream<Uint8Array> | FileHandle | ByteTarget;

/** FileSystemFileHandle, as far as it is used: what is written is there once it is closed. */
export interface FileHandle {
  createWritable(): Promise<WritableStream<Uint8Array>>;
}

export async function openTarget(where: string, target: Target): Promise<ByteTarget> {
  if (typeof target === "string") return openPath(where, target);
  const expected = "a path, a WritableStream, a FileSystemFileHandle or { write, close, abort }";
  if (typeof target !== "object" || target === null) throw typeError(where, expected, target);
  if (target instanceof URL) return openPath(where, nodePath(target));
  if ("getWriter" in target) return ofStream(target);
  if ("createWritable" in target) return ofStream(await target.createWritable());
  if ("write" in target && "close" in target && "abort" in target) return target;
  throw typeError(where, expected, target);
}

function ofStream(stream: WritableStream<Uint8Array>): ByteTarget {
  const writer = stream.getWriter();
  return {
    async write(bytes) {
      await writer.ready;
      await writer.write(bytes);
    },
    close: () => writer.close(),
    abort: (reason) => writer.abort(reason),
  };
}

async function openPath(where: string, path: string): Promise<ByteTarget> {
  const files = nodeFiles();
  if (files === undefined)
    throw typeError(where, "a stream, a FileSystemFileHandle or a sink (there are no paths here)", path);
  const failed = (error: unknown): FileError => {
    return new FileError(`${plain(path)}: cannot be written: ${reasonOf(error)}`, { cause: error });
  };
  // In the same folder, so that renaming is one step.
  const temporary = `${path}.${Math.random().toString(36).slice(2)}.part`;
  const handle = await files.open(temporary, "wx").catch((error) => {
    throw failed(error);
  });
  let at = 0;
  return {
    async write(bytes) {
      try {
        for (let done = 0; done < bytes.length; ) {
          const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, at);
          done += bytesWritten;
          at += bytesWritten;
        }
      } catch (error) {
        throw failed(error);
      }
    },
    async close() {
      try {
        await handle.sync();
        await handle.close();
        await files.rename(temporary, path);
      } catch (error) {
        throw failed(error);
      }
    },
    async abort() {
      await handle.close().catch(() => {});
      await files.rm(temporary, { force: true });
    },
  };
}

/**
 * A sink that keeps what is written.
 *
 * @throws TypeError for options, of which it has none
 */
export function memoryTarget(...none: readonly never[]): ByteTarget & { bytes(): Uint8Array<ArrayBuffer> } {
  if (none.length > 0) throw typeError("memoryTarget", "nothing", none[0]);
  let chunks: Uint8Array[] = [];
  let length = 0;
  return {
    async write(bytes) {
      chunks.push(bytes.slice());
      length += bytes.length;
    },
    async close() {},
    async abort() {
      chunks = [];
      length = 0;
    },
    bytes() {
      const all = new Uint8Array(length);
      let at = 0;
      for (const chunk of chunks) {
        all.set(chunk, at);
        at += chunk.length;
      }
      return all;
    },
  };
}

/** What a tensor's bytes are given as: all, or piece by piece, or read from where they are. */
export type TensorData =
  | Uint8Array
  | (() => AsyncIterable<Uint8Array> | Iterable<Uint8Array>)
  | {
      readonly byteLength: number;
      read(options: { begin: number; end: number; signal?: AbortSignal }): Promise<Uint8Array>;
    };

export interface TensorContent {
  readonly name: string;
  readonly dtype: string;
  /** Rows before columns. */
  readonly shape: readonly number[];
  /** Little-endian; a tensor of an open file is such data. */
  readonly data: TensorData;
}

const PIECE = 1 << 22;

/** The bytes of a tensor in pieces, exactly `length` of them. */
export async function* piecesOf(
  where: string,
  data: TensorData,
  length: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  let done = 0;
  if (typeof data === "function") {
    for await (const piece of data()) {
      if (kindOf(piece) !== "Uint8Array") throw typeError(`${where}: data`, "pieces that are a Uint8Array", piece);
      done += piece.length;
      if (done > length) break;
      yield piece;
    }
  } else {
    const isBytes = kindOf(data) === "Uint8Array";
    const given = data.byteLength;
    if (given !== length) throw new RangeError(`${where}: data: expected ${length} bytes, got ${given}`);
    for (; done < length; ) {
      const end = Math.min(done + PIECE, length);
      yield isBytes
        ? (data as Uint8Array).subarray(done, end)
        : await (data as Extract<TensorData, { read: unknown }>).read({ begin: done, end, ...(signal && { signal }) });
      done = end;
    }
  }
  if (done !== length)
    throw new RangeError(`${where}: data: expected ${length} bytes, got ${done}${done > length ? " or more" : ""}`);
}
