// Where downloads are kept, in pieces that are named by where they begin: a piece is whole or absent, so that what is there
// can be gone on with whenever it ended, also where a file cannot be written in place (OPFS outside workers, Cache API).
import { typeError } from "../lib/check.ts";
import { UnsupportedRuntimeError } from "../lib/errors.ts";
import type { ByteCache } from "./open-file.ts";
import { environment, type NodeFiles, nodeFiles } from "./runtime.ts";

/** Pieces by name, in a folder a file. What one store can, in few functions. */
interface Store {
  /** Names and sizes of pieces; an empty list if there is no such folder. */
  list(folder: string): Promise<readonly { readonly name: string; readonly size: number }[]>;
  read(folder: string, name: string, begin: number, end: number): Promise<Uint8Array>;
  write(folder: string, name: string, bytes: Uint8Array): Promise<void>;
  remove(folder: string): Promise<void>;
}

/** The cache that an option names; "auto" is the first that works here, or none. */
export async function byteCacheOf(option: "auto" | "none" | ByteCache | undefined): Promise<ByteCache | undefined> {
  if (option === "none") return undefined;
  if (option === undefined || option === "auto") {
    automatic ??= automaticCache();
    return automatic;
  }
  const { open, write, remove } = (option ?? {}) as Partial<ByteCache>;
  if (typeof open === "function" && typeof write === "function" && typeof remove === "function") return option;
  throw typeError("cache", '"auto", "none" or { open, write, remove }', option);
}

let automatic: Promise<ByteCache | undefined> | undefined;

/** Where Node, Deno and Bun keep downloads. */
export function cacheFolder(): string {
  const home = environment("XDG_CACHE_HOME") ?? environment("LOCALAPPDATA");
  const base = home ?? `${environment("HOME") ?? environment("USERPROFILE") ?? "."}/.cache`;
  return environment("LOWBIT_CACHE") ?? `${base}/lowbit`;
}

/** The piece that says whose the others are: an address without its query, which may hold a secret. */
export const ADDRESS = "address";

async function automaticCache(): Promise<ByteCache | undefined> {
  if (nodeFiles() !== undefined) return folderCache(cacheFolder());
  for (const make of [privateStore, cacheStore]) {
    try {
      const store = await make();
      if (store !== undefined) return piecesCache(store);
    } catch {
      // A store that is there and cannot be used, as in a private window: the next in line.
    }
  }
  return undefined;
}

/**
 * A cache in a folder, for Node, Deno and Bun.
 *
 * @throws TypeError for what is no path, and for options, of which it has none; UnsupportedRuntimeError where there are no folders
 */
export function folderCache(path: string, ...none: readonly never[]): ByteCache {
  if (typeof path !== "string") throw typeError("folderCache: path", "a string", path);
  if (none.length > 0) throw typeError("folderCache", "a path and nothing else", none[0]);
  const files = nodeFiles();
  if (files === undefined) throw new UnsupportedRuntimeError("folderCache: this runtime has no folders");
  return piecesCache(folderStore(files, path));
}

/** "lowbit" and a digest: names that every store takes, of any address. */
async function digest(text: string): Promise<string> {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
  return Array.from(hash.subarray(0, 16), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function piecesCache(store: Store): ByteCache {
  /** Pieces of a validator are named by it and by where they begin. */
  const named = async (validator: string, at: number): Promise<string> => {
    return `${(await digest(validator)).slice(0, 16)}-${String(at).padStart(16, "0")}`;
  };
  return {
    async open(url, validator) {
      const folder = await digest(url);
      const start = (await named(validator, 0)).slice(0, 17);
      const pieces: { readonly name: string; readonly at: number; readonly end: number }[] = [];
      let filled = 0;
      for (const { name, size } of [...(await store.list(folder))].sort((a, b) => (a.name < b.name ? -1 : 1))) {
        const at = Number(name.slice(17));
        // Those of other validators, of names that are not ours, and beyond a hole do not count.
        if (!name.startsWith(start) || !(at <= filled) || at + size <= filled) continue;
        pieces.push({ name, at, end: at + size });
        filled = at + size;
      }
      if (filled === 0) return undefined;
      return {
        size: filled,
        async read(begin, end) {
          const piece = pieces.findLast(({ at }) => at <= begin);
          if (piece === undefined) throw new RangeError("no such piece");
          return store.read(folder, piece.name, begin - piece.at, Math.min(end, piece.end) - piece.at);
        },
      };
    },
    async write(url, validator, at, bytes) {
      const folder = await digest(url);
      const name = await named(validator, at);
      if (at === 0) {
        await store.remove(folder);
        await store.write(folder, ADDRESS, new TextEncoder().encode(url.replace(/[?#].*$/, "")));
      }
      await store.write(folder, name, bytes);
    },
    async remove(url) {
      await store.remove(await digest(url));
    },
  };
}

function folderStore(files: NodeFiles, path: string): Store {
  const at = (folder: string, name = ""): string => `${path}/${folder}${name && `/${name}`}`;
  const sizeOf = async (file: string): Promise<number> => {
    const handle = await files.open(file, "r");
    try {
      return (await handle.stat()).size;
    } finally {
      await handle.close();
    }
  };
  let written = 0;
  return {
    async list(folder) {
      const names = await files.readdir(at(folder)).catch(() => []);
      return Promise.all(names.map(async (name) => ({ name, size: await sizeOf(at(folder, name)) })));
    },
    async read(folder, name, begin, end) {
      const handle = await files.open(at(folder, name), "r");
      try {
        const bytes = new Uint8Array(end - begin);
        return bytes.subarray(0, (await handle.read(bytes, 0, bytes.length, begin)).bytesRead);
      } finally {
        await handle.close();
      }
    },
    async write(folder, name, bytes) {
      await files.mkdir(at(folder), { recursive: true });
      const temporary = at(folder, `writing-${name}-${written++}-${Math.random().toString(36).slice(2)}`);
      try {
        const handle = await files.open(temporary, "w");
        try {
          for (let done = 0; done < bytes.length; ) {
            done += (await handle.write(bytes, done, bytes.length - done, done)).bytesWritten;
          }
        } finally {
          await handle.close();
        }
        await files.rename(temporary, at(folder, name));
      } catch (error) {
        await files.rm(temporary, { force: true });
        throw error;
      }
    },
    async remove(folder) {
      await files.rm(at(folder), { force: true, recursive: true });
    },
  };
}

/** The origin private file system (https://fs.spec.whatwg.org). */
async function privateStore(): Promise<Store | undefined> {
  const storage = globalThis.navigator?.storage;
  if (typeof storage?.getDirectory !== "function") return undefined;
  // Only a call says whether it may be used; not every handle can write outside a worker.
  const top = await storage.getDirectory();
  if (!("createWritable" in FileSystemFileHandle.prototype)) return undefined;
  const open = async (folder: string, create: boolean): Promise<FileSystemDirectoryHandle> => {
    return (await top.getDirectoryHandle("lowbit", { create: true })).getDirectoryHandle(folder, { create });
  };
  const file = async (folder: string, name: string): Promise<File> => {
    return (await (await open(folder, false)).getFileHandle(name)).getFile();
  };
  return {
    async list(folder) {
      const pieces: { name: string; size: number }[] = [];
      const directory = await open(folder, false).catch(() => undefined);
      if (directory === undefined) return pieces;
      const names = (directory as unknown as { keys(): AsyncIterable<string> }).keys();
      for await (const name of names) pieces.push({ name, size: (await file(folder, name)).size });
      return pieces;
    },
    async read(folder, name, begin, end) {
      return new Uint8Array(await (await file(folder, name)).slice(begin, end).arrayBuffer());
    },
    async write(folder, name, bytes) {
      const directory = await open(folder, true);
      const handle = await directory.getFileHandle(name, { create: true });
      try {
        // What is written is there once it is closed, and not before.
        const stream = await handle.createWritable();
        await stream.write(bytes as Uint8Array<ArrayBuffer>);
        await stream.close();
      } catch (error) {
        await directory.removeEntry(name).catch(() => {});
        throw error;
      }
    },
    async remove(folder) {
      const lowbit = await top.getDirectoryHandle("lowbit", { create: true });
      await lowbit.removeEntry(folder, { recursive: true }).catch(() => {});
    },
  };
}

/** The Cache API, with a response of our own for each piece: it takes none of a part of a file. */
async function cacheStore(): Promise<Store | undefined> {
  if (typeof globalThis.caches?.open !== "function") return undefined;
  const cache = await caches.open("lowbit");
  const address = (folder: string, name = ""): string => `https://lowbit.invalid/${folder}/${name}`;
  const keys = async (folder: string): Promise<string[]> => {
    return (await cache.keys()).map(({ url }) => url).filter((url) => url.startsWith(address(folder)));
  };
  const piece = async (url: string): Promise<Blob> => {
    const response = await cache.match(url);
    if (response === undefined) throw new RangeError("no such piece");
    return response.blob();
  };
  return {
    async list(folder) {
      const urls = await keys(folder);
      return Promise.all(
        urls.map(async (url) => ({ name: url.slice(address(folder).length), size: (await piece(url)).size })),
      );
    },
    async read(folder, name, begin, end) {
      return new Uint8Array(await (await piece(address(folder, name))).slice(begin, end).arrayBuffer());
    },
    async write(folder, name, bytes) {
      await cache.put(address(folder, name), new Response(bytes as Uint8Array<ArrayBuffer>));
    },
    async remove(folder) {
      for (const url of await keys(folder)) await cache.delete(url);
    },
  };
}
