// Files of one model by their names: X-00001-of-00003.gguf, and what X.safetensors.index.json says.
import { FileError } from "./errors.ts";
import type { JsonObject } from "./json.ts";
import type { Source } from "./open-file.ts";
import { beside, isNamed } from "./source.ts";
import { plain, quote, show } from "./text.ts";

const SHARD = /^(.*)-(\d{5})-of-(\d{5})(\.gguf|\.safetensors)$/s;

/** Whether a name is that of an index of safetensors files. */
export function isIndex(name: string): boolean {
  return /\.index\.json$/i.test(baseOf(name));
}

export function baseOf(name: string): string {
  return decodeURI(name.replace(/[?#].*$/, "")).replace(/^.*[/\\]/s, "");
}

/**
 * The other files of a model, beside the one that was opened.
 *
 * @param count how many the file itself says there are
 * @param names those that an index has
 * @throws FileError if they cannot be found by name
 */
export function otherShards(
  source: Source,
  name: string,
  container: "gguf" | "safetensors",
  count?: number,
  names?: readonly string[],
): Source[] {
  const base = baseOf(name);
  const [, start, no, of, kind] = SHARD.exec(base) ?? [];
  const all = Number(of ?? 1);
  let others = names;
  if (others === undefined) {
    const wanted = container === "gguf" ? (count ?? 1) : all;
    if (wanted <= 1) return [];
    // The parts of a GGUF file say who they are: which are missing is said when all are there.
    if (container === "gguf" && (!isNamed(source) || all !== wanted || Number(no) < 1 || Number(no) > all)) return [];
    others = Array.from({ length: all }, (_, i) => `${start}-${String(i + 1).padStart(5, "0")}-of-${of}${kind}`);
  }
  if (!isNamed(source)) {
    throw new FileError(`${plain(name)}: its other files cannot be found by name: expected all of them in an array`);
  }
  return others.filter((other) => other !== base).map((other) => beside(source, other));
}

/**
 * Which file has which tensor.
 *
 * @throws FileError for one that is no plain name: it comes from the file, and is joined to a folder or an address
 */
export function readIndex(name: string, index: JsonObject): ReadonlyMap<string, string> {
  const where = plain(name);
  const map = index.get("weight_map");
  if (!(map instanceof Map)) throw new FileError(`${where}: weight_map: expected an object, got ${show(map)}`);
  const files = new Map<string, string>();
  for (const [tensor, file] of map) {
    const isPlain = typeof file === "string" && /^[^/\\:\p{Cc}]+$/u.test(file) && !/^\.+$/.test(file);
    if (!isPlain || isIndex(file)) {
      throw new FileError(
        `${where}: weight_map: ${quote(tensor)}: expected the name of a file beside it, got ${show(file)}`,
      );
    }
    files.set(tensor, file);
  }
  if (files.size === 0) throw new FileError(`${where}: weight_map: expected at least one tensor`);
  return files;
}
