// Writing safetensors files.
import { checkOptions, rangeError, typeError } from "../lib/check.ts";
import { checkNames } from "./options.ts";
import { dtypeBits } from "./safetensors.ts";
import { piecesOf, type TensorContent } from "./target.ts";
import { plain, quote } from "./text.ts";
import {
  type FilePlan,
  groupBySize,
  type ShardTarget,
  WRITE_NAMES,
  type WriteOptions,
  writeFiles,
} from "./write-files.ts";

export interface SafetensorsContent {
  readonly metadata?: ReadonlyMap<string, string> | Readonly<Record<string, string>> | undefined;
  readonly tensors: readonly TensorContent[];
}

/**
 * Writes a safetensors file, or several of `shardBytes` at most: "X.safetensors" becomes "X-00001-of-00003.safetensors" and
 * so on, with "X.safetensors.index.json" that says which has which tensor. Tensors of wider elements come first in a file,
 * so that each is aligned; otherwise their order is kept.
 *
 * @throws TypeError, RangeError for content that makes no valid file, before anything is written; FileError for a target that
 * fails; the reason of an aborted signal. Nothing half-written is left.
 */
export async function writeSafetensors(
  target: ShardTarget,
  content: SafetensorsContent,
  options: WriteOptions = {},
): Promise<void> {
  const where = "writeSafetensors";
  checkOptions(`${where}: content`, content);
  checkNames(where, options, WRITE_NAMES);
  if (!Array.isArray(content.tensors)) throw typeError(`${where}: tensors`, "an array", content.tensors);
  const sizes = checkTensors(where, content.tensors).map(({ bytes }) => bytes);
  const groups = groupBySize(where, content.tensors, sizes, options.shardBytes);
  const files = groups.map((tensors) => planSafetensors(where, { ...content, tensors }, options.signal));
  if (files.length === 1) return writeFiles(where, target, files, options);
  const index = (names: readonly string[]): Uint8Array => {
    const map = groups.flatMap((tensors, i) => tensors.map(({ name }): [string, unknown] => [name, names[i]]));
    const metadata = { total_size: sizes.reduce((sum, bytes) => sum + bytes, 0) };
    return new TextEncoder().encode(`${JSON.stringify({ metadata, weight_map: ordered(map) }, undefined, 2)}\n`);
  };
  return writeFiles(where, target, files, options, index);
}

interface Sized {
  readonly tensor: TensorContent;
  readonly at: string;
  readonly bits: number;
  readonly bytes: number;
}

export function checkTensors(where: string, tensors: readonly TensorContent[]): Sized[] {
  const names = new Set<string>(["__metadata__"]);
  return tensors.map((tensor) => {
    const { name, dtype, shape } = tensor;
    if (typeof name !== "string") throw typeError(`${where}: name`, "a string", name);
    const at = `${where}: ${plain(name)}`;
    checkText(at, name);
    if (names.has(name)) throw rangeError(at, "a name that is not taken", quote(name));
    names.add(name);
    const bits = dtypeBits(dtype);
    if (bits === undefined) throw rangeError(`${at}: dtype`, "a type of the format", quote(String(dtype)));
    const total = sizeOf(`${at}: shape`, shape) * bits;
    if (total % 8 !== 0 || !Number.isSafeInteger(total))
      throw rangeError(`${at}: shape`, "whole bytes, less than 2^50", `[${shape}]`);
    return { tensor, at, bits, bytes: total / 8 };
  });
}

/** @param last of the tensors the one that comes behind all others, whatever its type */
export function planSafetensors(
  where: string,
  content: SafetensorsContent,
  signal: AbortSignal | undefined,
  last?: TensorContent,
): FilePlan {
  const entries: [string, unknown][] = [];
  const { metadata = {} } = content;
  const texts: [string, string][] = metadata instanceof Map ? [...metadata] : Object.entries(metadata);
  for (const [key, value] of texts) {
    if (typeof value !== "string") throw typeError(`${where}: metadata: ${plain(key)}`, "a string", value);
    checkText(`${where}: metadata`, key);
    checkText(`${where}: metadata: ${plain(key)}`, value);
  }
  if (texts.length > 0) entries.push(["__metadata__", ordered(texts)]);
  const sized = checkTensors(where, content.tensors);
  sized.sort((a, b) => Number(a.tensor === last) - Number(b.tensor === last) || b.bits - a.bits);
  let end = 0;
  for (const { tensor, bytes } of sized) {
    const { name, dtype, shape } = tensor;
    entries.push([name, { dtype, shape: [...shape], data_offsets: [end, end + bytes] }]);
    end += bytes;
  }
  const text = new TextEncoder().encode(JSON.stringify(ordered(entries)));
  // Spaces, so that the data begin at a multiple of 8.
  const length = Math.ceil(text.length / 8) * 8;
  if (length > 100_000_000) throw rangeError(`${where}: tensors`, "a header of 100000000 bytes at most", `${length}`);
  const head = new Uint8Array(8 + length).fill(0x20);
  new DataView(head.buffer).setBigUint64(0, BigInt(length), true);
  head.set(text, 8);
  async function* chunks(): AsyncGenerator<Uint8Array> {
    yield head;
    for (const { tensor, at, bytes } of sized) yield* piecesOf(at, tensor.data, bytes, signal);
  }
  return { total: head.length + end, chunks };
}

/** Object.fromEntries defines members, so that "__proto__" is one as well. */
function ordered(entries: readonly (readonly [string, unknown])[]): unknown {
  return Object.fromEntries(entries);
}

export function checkText(where: string, text: string): void {
  if (/\p{Cs}/u.test(text)) throw rangeError(where, "text without halves of surrogate pairs", quote(text));
}

/** The number of elements of a shape. */
export function sizeOf(where: string, shape: unknown): number {
  if (!Array.isArray(shape)) throw typeError(where, "an array of sizes", shape);
  let size = 1;
  for (const count of shape) {
    if (!Number.isSafeInteger(count) || count < 0) throw rangeError(where, "whole sizes", `[${shape}]`);
    size *= count;
  }
  if (size > Number.MAX_SAFE_INTEGER) throw rangeError(where, "less than 2^53 elements", `[${shape}]`);
  return size;
}
