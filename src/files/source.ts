// Where bytes come from: a path, an address, a File or Blob, bytes, or ranges of the caller's own.
import { bytesOf, kindOf } from "../lib/arrays.ts";
import { checkInteger, rangeError, typeError } from "../lib/check.ts";
import { openCached } from "./cached.ts";
import { FileError } from "./errors.ts";
import { type OpenFile, reasonOf, type Source, type SourceOptions, wrap } from "./open-file.ts";
import { type NodeHandle, nodeFiles } from "./runtime.ts";
import { plain } from "./text.ts";

/**
 * Opens one file.
 *
 * @throws FileError if there is none; TypeError for a source that is none of those; the reason of an aborted signal
 */
export async function openFile(where: string, source: Source, options: SourceOptions = {}): Promise<OpenFile> {
  options.signal?.throwIfAborted();
  const file = await openAny(where, source, options);
  checkInteger(`${where}: size of ${plain(file.name)}`, file.size, 0, Number.MAX_SAFE_INTEGER);
  return file;
}

async function openAny(where: string, source: Source, options: SourceOptions): Promise<OpenFile> {
  if (typeof source === "string") {
    const url = addressOf(where, source);
    return url === undefined ? openPath(where, source) : openUrl(where, url, options);
  }
  if (typeof source !== "object" || source === null) throw typeError(where, SOURCES, source);
  if (source instanceof URL) return openUrl(where, source, options);
  if (kindOf(source) !== undefined) return ofBytes("bytes", bytesOf(source as Uint8Array));
  if (typeof Blob === "function" && source instanceof Blob) return ofBlob(source);
  if ("read" in source && typeof source.read === "function") {
    return wrap(source.name ?? "source", source.size, (begin, end, signal) => source.read(begin, end, signal));
  }
  throw typeError(where, SOURCES, source);
}

const SOURCES = "a path, a URL, a Blob, bytes or { size, read }";

/** The name that a source goes by, as far as it is known before it is opened. */
export function nameOf(source: Source): string {
  if (typeof source === "string") return source;
  if (source instanceof URL) return source.href;
  const { name } = source as { name?: unknown };
  return typeof name === "string" ? name : "bytes";
}

/** Whether two sources stand beside each other by name: a path or an address. */
export function isNamed(source: Source): source is string | URL {
  return typeof source === "string" || source instanceof URL;
}

/** The source of another name in the same folder. */
export function beside(source: string | URL, name: string): string | URL {
  if (source instanceof URL) {
    const url = new URL(source);
    url.pathname = url.pathname.replace(/[^/]*$/, encodeURIComponent(name));
    return url;
  }
  const isAddress = /^(hf|[a-z][a-z0-9+.-]+):/i.test(source);
  if (isAddress && !source.startsWith("hf:")) return beside(new URL(source), name);
  return source.replace(isAddress ? /[^/]*$/ : /[^/\\]*$/, () => name);
}

// A scheme of one letter is a drive of Windows.
function addressOf(where: string, text: string): URL | undefined {
  if (text.startsWith("hf:")) return hubAddress(where, text.slice(3));
  if (/^[a-z][a-z0-9+.-]+:/i.test(text)) return new URL(text);
  const base = (globalThis as { location?: { href?: string } }).location?.href;
  return nodeFiles() === undefined && base !== undefined ? new URL(text, base) : undefined;
}

/** hf:owner/repo[@revision]/path/of/file. */
function hubAddress(where: string, text: string): URL {
  const [, owner, repo, revision = "main", path] = /^([^/@]+)\/([^/@]+)(?:@([^/]+))?\/(.+)$/.exec(text) ?? [];
  if (owner === undefined || repo === undefined || path === undefined || path.split("/").includes("..")) {
    throw rangeError(where, "hf:owner/repo/file or hf:owner/repo@revision/file", JSON.stringify(plain(`hf:${text}`)));
  }
  const parts = [owner, repo, "resolve", decodeURIComponent(revision), ...path.split("/")];
  return new URL(`https://huggingface.co/${parts.map(encodeURIComponent).join("/")}`);
}

async function openUrl(where: string, url: URL, options: SourceOptions): Promise<OpenFile> {
  if (url.protocol === "file:") return openPath(where, url);
  if (url.protocol === "http:" || url.protocol === "https:") return openCached(url, options);
  if (url.protocol !== "data:" && url.protocol !== "blob:") {
    throw rangeError(where, "an address of http, https, file, data or blob", plain(url.protocol));
  }
  const { fetch = globalThis.fetch, signal } = options;
  const response = await fetch(url, signal ? { signal } : {});
  return ofBlob(await response.blob(), url.protocol);
}

async function openPath(where: string, path: string | URL): Promise<OpenFile> {
  const files = nodeFiles();
  if (files === undefined)
    throw rangeError(where, "a URL, a File or bytes (there are no paths here)", plain(String(path)));
  const name = path instanceof URL ? decodeURIComponent(path.pathname) : path;
  let handle: NodeHandle;
  let size: number;
  try {
    handle = await files.open(path, "r");
  } catch (error) {
    const reason = reasonOf(error);
    const what = reason === "ENOENT" || reason === "ENOTDIR" ? "there is no such file" : `cannot be read: ${reason}`;
    throw new FileError(`${plain(name)}: ${what}`, { cause: error });
  }
  try {
    const stat = await handle.stat();
    if (!stat.isFile()) throw new FileError(`${plain(name)}: expected a file`);
    size = stat.size;
  } catch (error) {
    await handle.close();
    throw error;
  }
  const read: OpenFile["read"] = async (begin, end, _, into) => {
    const bytes = into?.subarray(0, end - begin) ?? new Uint8Array(end - begin);
    try {
      const { bytesRead } = await handle.read(bytes, 0, bytes.length, begin);
      return bytes.subarray(0, bytesRead);
    } catch (error) {
      throw new FileError(`${plain(name)}: cannot be read: ${reasonOf(error)}`, { cause: error });
    }
  };
  return wrap(name, size, read, () => handle.close());
}

function ofBytes(name: string, bytes: Uint8Array): OpenFile {
  return wrap(name, bytes.length, async (begin, end) => bytes.subarray(begin, end));
}

function ofBlob(blob: Blob, name = "blob"): OpenFile {
  const { name: own } = blob as { name?: unknown };
  return wrap(typeof own === "string" ? own : name, blob.size, async (begin, end) => {
    return new Uint8Array(await blob.slice(begin, end).arrayBuffer());
  });
}
