// Which file has the weights, where a source is not the name of one: a folder, a repository of the hub, or a file of any name.
import { rangeError } from "../../lib/check.ts";
import { FileError } from "../errors.ts";
import { reasonOf, type SourceOptions } from "../open-file.ts";
import { type NodeFiles, nodePath } from "../runtime.ts";
import { baseOf, isIndex } from "../shards.ts";
import { beside } from "../source.ts";
import { plain } from "../text.ts";

/** What a source was to be, in messages. */
const EXPECTED = "a *.gguf or *.safetensors file, or a folder with one";
/** Names that a message lists. */
const LISTED = 8;

/** The part of a repository that a source is. */
interface Repository {
  /** "owner/repo". */
  readonly name: string;
  readonly revision: string;
  /** "" or "folder/". */
  readonly folder: string;
}

/** Whether a name says that it is one of weights, or of a list of them. */
export function isWeights(name: string): boolean {
  return /\.(safetensors|gguf)$/i.test(name) || isIndex(name);
}

/**
 * The file of weights in a folder of this machine, or the path itself, where it is a file.
 *
 * @throws FileError where there is nothing, or more than one model
 */
export async function findHere(files: NodeFiles, path: string | URL): Promise<string | URL> {
  const name = path instanceof URL ? nodePath(path) : path;
  let names: string[];
  try {
    names = await files.readdir(name);
  } catch (error) {
    const code = reasonOf(error);
    if (code === "ENOTDIR") return path;
    if (code !== "ENOENT") throw new FileError(`${plain(name)}: cannot be read: ${code}`, { cause: error });
    const hint = /^[\w.-]+\/[\w.-]+$/.test(name) ? ` (a repository of the hub would be hf:${plain(name)})` : "";
    throw new FileError(`${plain(name)}: there is no such file or folder${hint}`, { cause: error });
  }
  return beside(withSlash(path), chosen(name, names.sort()));
}

/** Of a folder that a server has: its index, or its one file of the usual name. */
export function findThere(folder: string | URL, hasIndex: boolean): string | URL {
  return beside(withSlash(folder), hasIndex ? "model.safetensors.index.json" : "model.safetensors");
}

/**
 * The file of weights of a repository that has none of the usual name, by the list that the hub gives of it.
 *
 * @returns undefined where there is no list
 * @throws FileError for a repository that is not there, is without a model, or has several
 */
export async function findInRepository(source: string, options: SourceOptions): Promise<string | undefined> {
  const { name, revision, folder } = repositoryOf("source", source);
  const { fetch = globalThis.fetch, headers = {}, signal } = options;
  const address = `https://huggingface.co/api/models/${name}/revision/${encodeURIComponent(revision)}`;
  let siblings: unknown;
  try {
    const response = await fetch(address, { headers: { ...headers }, ...(signal && { signal }) });
    const { status, ok } = response;
    if (status === 401 || status === 403 || status === 404) {
      const what = "expected a repository of the hub that is public, or that the token may read";
      throw new FileError(`${plain(source)}: ${what}, got status ${status}`);
    }
    if (!ok) return undefined;
    siblings = ((await response.json()) as { siblings?: unknown }).siblings;
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof FileError) throw error;
    return undefined;
  }
  if (!Array.isArray(siblings)) return undefined;
  const names = siblings
    .map((one: unknown) => (one as { rfilename?: unknown } | null)?.rfilename)
    .filter((one): one is string => typeof one === "string" && one.startsWith(folder))
    .map((one) => one.slice(folder.length))
    .filter((one) => one !== "" && !one.includes("/"))
    .sort();
  const file = chosen(source, names);
  return `hf:${name}@${encodeURIComponent(revision)}/${folder}${file}`;
}

/** @throws RangeError for what is no repository */
export function repositoryOf(where: string, source: string): Repository {
  const [, name, revision = "main", folder = ""] = /^hf:([^/@]+\/[^/@]+)(?:@([^/]+))?(?:\/(.*))?$/.exec(source) ?? [];
  if (name === undefined || folder.split("/").includes("..")) {
    const expected = "hf:owner/repo, hf:owner/repo/file or hf:owner/repo@revision/file";
    throw rangeError(where, expected, JSON.stringify(plain(source)));
  }
  const path = folder === "" || folder.endsWith("/") ? folder : `${folder}/`;
  return { name, revision: decodeURIComponent(revision), folder: path };
}

export function withSlash(folder: string | URL): string | URL {
  if (typeof folder === "string") return folder.endsWith("/") ? folder : `${folder}/`;
  const url = new URL(folder);
  if (!url.pathname.endsWith("/")) url.pathname += "/";
  return url;
}

const SHARD = /-(\d{5})-of-\d{5}\.(gguf|safetensors)$/i;
/** Weights of other parts than the model: of what sees pictures, of other file formats' numbers, of what is added to a model. */
const OTHERS = /^(mmproj|consolidated|adapter_model|optimizer)\b/i;

/**
 * The one model among names.
 *
 * @throws FileError for none, and for several: all are named
 */
function chosen(folder: string, names: readonly string[]): string {
  const usual = ["model.safetensors.index.json", "model.safetensors"].find((name) => names.includes(name));
  if (usual !== undefined) return usual;
  const indices = names.filter((name) => /\.safetensors\.index\.json$/i.test(name));
  if (indices.length === 1) return indices[0] as string;
  const weights = names.filter((name) => /\.(safetensors|gguf)$/i.test(name));
  const others = weights.filter((name) => !OTHERS.test(name));
  // The parts of a model are found by the name of the first.
  const models = (others.length > 0 ? others : weights).filter((name) => Number(SHARD.exec(name)?.[1] ?? 1) === 1);
  if (models.length === 1) return models[0] as string;
  const where = plain(folder.replace(/(.)\/+$/, "$1"));
  if (models.length > 1) throw new FileError(`${where}: expected one model, got ${listed(models)}: name one of them`);
  const pickled = names.some((name) => /\.(bin|pt|pth|ckpt)$/i.test(name));
  const hint = pickled
    ? "; weights in pickles are not read, and become *.safetensors by transformers' save_pretrained"
    : "";
  const got = names.length === 0 ? "an empty folder" : listed(names);
  throw new FileError(`${where}: expected ${EXPECTED}, got ${got}${hint}`);
}

function listed(names: readonly string[]): string {
  const some = names.slice(0, LISTED).map((name) => plain(baseOf(encodeURI(name))));
  return some.join(", ") + (names.length > some.length ? ` and ${names.length - some.length} more` : "");
}
