// One file or several: all of them are there in the end, or none.
import { checkInteger, rangeError } from "../lib/check.ts";
import { beside } from "./source.ts";
import { type ByteTarget, openTarget, type Target, type TensorContent } from "./target.ts";

export interface WriteOptions {
  readonly signal?: AbortSignal | undefined;
  /** Bytes that were written, of how many. */
  readonly onProgress?: ((written: number, total: number) => void) | undefined;
  /** Bytes of tensors in a file, at most (one tensor may have more): several files are written if there are more. */
  readonly shardBytes?: number | undefined;
}

export const WRITE_NAMES = ["signal", "onProgress", "shardBytes"] as const;

/** For several files a path or file: URL, beside which they get their names, or what gives a target for each name. */
export type ShardTarget = Target | ((name: string) => Target | Promise<Target>);

/** A file that is ready to be written. */
export interface FilePlan {
  readonly total: number;
  chunks(): AsyncIterable<Uint8Array>;
}

/** Tensors of each file, in order. */
export function groupBySize(
  where: string,
  tensors: readonly TensorContent[],
  sizes: readonly number[],
  shardBytes: number | undefined,
): readonly (readonly TensorContent[])[] {
  if (shardBytes === undefined) return [tensors];
  checkInteger(`${where}: shardBytes`, shardBytes, 1, Number.MAX_SAFE_INTEGER);
  const groups: TensorContent[][] = [[]];
  let filled = 0;
  for (const [i, tensor] of tensors.entries()) {
    const size = sizes[i] as number;
    if (filled > 0 && filled + size > shardBytes) {
      groups.push([]);
      filled = 0;
    }
    (groups.at(-1) as TensorContent[]).push(tensor);
    filled += size;
  }
  if (groups.length > MOST) throw rangeError(`${where}: shardBytes`, `${MOST} files at most`, `${groups.length}`);
  return groups;
}

/** Five digits of a name, and the 16 bits of `split.count`. */
const MOST = 65_535;

/**
 * @param index what an index of several files says, given their names
 */
export async function writeFiles(
  where: string,
  target: ShardTarget,
  files: readonly FilePlan[],
  { signal, onProgress }: WriteOptions,
  index?: (names: readonly string[]) => Uint8Array,
): Promise<void> {
  signal?.throwIfAborted();
  const total = files.reduce((sum, file) => sum + file.total, 0);
  const sinks: ByteTarget[] = [];
  try {
    const { names, targetOf } = namesOf(where, target, files.length);
    let written = 0;
    for (const [i, file] of files.entries()) {
      const sink = await openTarget(`${where}: target`, await targetOf(names[i] as string));
      sinks.push(sink);
      for await (const bytes of file.chunks()) {
        signal?.throwIfAborted();
        await sink.write(bytes);
        written += bytes.length;
        onProgress?.(written, total);
      }
    }
    if (index !== undefined) {
      const name = (names[0] as string).replace(/-00001-of-\d{5}(\.\w+)$/, "$1.index.json");
      const sink = await openTarget(`${where}: target`, await targetOf(name));
      sinks.push(sink);
      await sink.write(index(names));
    }
    signal?.throwIfAborted();
    for (const sink of sinks) await sink.close();
  } catch (error) {
    for (const sink of sinks) await sink.abort(error).catch(() => {});
    throw error;
  }
}

interface Names {
  readonly names: readonly string[];
  targetOf(name: string): Target | Promise<Target>;
}

function namesOf(where: string, target: ShardTarget, count: number): Names {
  const numbered = (base: string, kind: string): string[] => {
    if (count === 1) return [`${base}${kind}`];
    const five = (n: number): string => String(n).padStart(5, "0");
    return Array.from({ length: count }, (_, i) => `${base}-${five(i + 1)}-of-${five(count)}${kind}`);
  };
  if (typeof target === "function") {
    return { names: numbered("model", where === "writeGguf" ? ".gguf" : ".safetensors"), targetOf: target };
  }
  if (count === 1) return { names: [""], targetOf: () => target };
  if (typeof target !== "string" && !(target instanceof URL)) {
    throw rangeError(`${where}: target`, "a path, or a function of names, where there are several files", "one sink");
  }
  const [, base = "", kind = ""] =
    /([^/\\]*?)(\.\w+)?$/.exec(target instanceof URL ? decodeURI(target.pathname) : target) ?? [];
  return { names: numbered(base, kind), targetOf: (name) => beside(target, name) };
}
