// The files of a checkpoint: a folder, one of its files, or files by their names.
import { rangeError, typeError } from "../../lib/check.ts";
import { openWeights, type WeightFile } from "../container.ts";
import { FileError } from "../errors.ts";
import type { Source, SourceOptions } from "../open-file.ts";
import { nodeFiles } from "../runtime.ts";
import { beside, isNamed, openFile } from "../source.ts";
import { findHere, findInRepository, findThere, isWeights, repositoryOf } from "./find.ts";
import type { Json } from "./settings.ts";

/** The files of a checkpoint by their names, as Hugging Face's hub has them: config.json, *.safetensors, tokenizer.json, … */
export type Files = Readonly<Record<string, Source>> | ReadonlyMap<string, Source>;

/** Reads a file beside the weights; undefined where there is none. */
export type Reader = (name: string) => Promise<Uint8Array | undefined>;

/**
 * Opens the weights, and gives what reads the files beside them.
 *
 * @param where beginning of messages
 */
export async function openSource(
  where: string,
  source: Source | Files,
  options: SourceOptions,
): Promise<[WeightFile, Reader]> {
  const named = filesOf(source);
  if (named) {
    const weights = [...named].filter(([name]) => /\.(safetensors|gguf)$/i.test(name)).map(([, file]) => file);
    if (weights.length === 0) {
      throw rangeError(`${where}: source`, "a *.safetensors or *.gguf file", [...named.keys()].join(", ") || "none");
    }
    const read: Reader = async (name) => {
      const file = named.get(name);
      return file === undefined ? undefined : contentOf(where, file, options);
    };
    return [await openWeights(weights, options), read];
  }
  const one = source as Source;
  if (!isNamed(one)) return [await openWeights(one, options), async () => undefined];
  const read =
    (near: string | URL): Reader =>
    (other) =>
      contentOf(where, beside(near, other), options).catch(() => {
        options.signal?.throwIfAborted();
        return undefined;
      });
  const opened = async (file: string | URL): Promise<[WeightFile, Reader]> => [
    await openWeights(file, options),
    read(file),
  ];
  if (isWeights(String(one).replace(/[?#].*$/, ""))) return opened(one);
  if (typeof one === "string" && one.startsWith("hf:")) {
    repositoryOf(`${where}: source`, one);
    return openFolder(one, read, opened, () => findInRepository(one, options));
  }
  const address = one instanceof URL ? one : URL.canParse(one) && !/^[a-z]:/i.test(one) ? new URL(one) : undefined;
  const files = nodeFiles();
  if (files === undefined || (address && address.protocol !== "file:"))
    return openFolder(one, read, opened, async () => one);
  return opened(await findHere(files, address ?? one));
}

/** What a server has: the files of a folder by their usual names, else what `find` says. */
async function openFolder(
  folder: string | URL,
  read: (near: string | URL) => Reader,
  opened: (file: string | URL) => Promise<[WeightFile, Reader]>,
  find: () => Promise<string | URL | undefined>,
): Promise<[WeightFile, Reader]> {
  const usual = findThere(folder, false);
  const index = await read(usual)("model.safetensors.index.json");
  if (index) return opened(findThere(folder, true));
  try {
    return await opened(usual);
  } catch (error) {
    if (!(error instanceof FileError)) throw error;
    const file = await find();
    if (file === undefined) throw error;
    return opened(file).catch((other) => {
      throw file === folder && other instanceof FileError ? error : other;
    });
  }
}

// A Map or a plain object: everything else that sources are has a class of its own, or `read`.
function filesOf(source: unknown): ReadonlyMap<string, Source> | undefined {
  if (source instanceof Map) return source as ReadonlyMap<string, Source>;
  if (typeof source !== "object" || source === null || Array.isArray(source) || ArrayBuffer.isView(source))
    return undefined;
  if (source instanceof URL || source instanceof ArrayBuffer || "read" in source) return undefined;
  if (typeof Blob === "function" && source instanceof Blob) return undefined;
  return new Map(Object.entries(source as Record<string, Source>));
}

async function contentOf(where: string, source: Source, options: SourceOptions): Promise<Uint8Array> {
  const file = await openFile(`${where}: source`, source, options);
  try {
    return await file.read(0, file.size, options.signal);
  } finally {
    await file.close();
  }
}

export async function textOf(read: Reader, name: string): Promise<string | undefined> {
  const bytes = await read(name);
  return bytes && new TextDecoder().decode(bytes);
}

export async function jsonOf(where: string, read: Reader, name: string): Promise<Json | undefined> {
  const source = await textOf(read, name);
  if (source === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(source);
  } catch (error) {
    throw rangeError(`${where}: ${name}`, "JSON", error instanceof Error ? error.message : "something else");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw typeError(`${where}: ${name}`, "an object", value);
  return value as Json;
}
