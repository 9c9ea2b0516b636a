// What makes a safetensors file one of ours: keys of its metadata, and a tensor of checksums at its end (docs/files.md has the
// specification).
import type { MatrixRecord } from "../../matrix/record.ts";
import type { WeightFile } from "../container.ts";
import { FileError } from "../errors.ts";
import { parseObject } from "../safetensors.ts";
import { plain, quote } from "../text.ts";
import { checksumOf, hexOf } from "./checksum.ts";
import { readRecord } from "./record.ts";

export const VERSION = "1";
/** Keys of the metadata and names of tensors that begin with it are ours. */
export const PREFIX = "lowbit.";
export const VERSION_KEY = `${PREFIX}version`;
export const MATRICES_KEY = `${PREFIX}matrices`;
export const HEADER_KEY = `${PREFIX}header`;
export const CHECKSUMS = `${PREFIX}checksums`;
/** Bytes of a checksum. */
export const SUM_BYTES = 8;

interface Placed {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
}

/** Names in the order of their UTF-16 units, which is that of checksums. */
export function sorted<T extends { readonly name: string }>(tensors: Iterable<T>): T[] {
  return [...tensors].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** The checksum of all that a header says, whatever the order and the spaces in which it says it. */
export function headerSum(metadata: Iterable<readonly [string, string]>, tensors: Iterable<Placed>): string {
  const texts = sorted([...metadata].map(([name, text]) => ({ name, text }))).filter(({ name }) => name !== HEADER_KEY);
  const content = [
    texts.map(({ name, text }) => [name, text]),
    sorted(tensors).map(({ name, dtype, shape }) => [name, dtype, shape]),
  ];
  return hexOf(checksumOf(new TextEncoder().encode(JSON.stringify(content))));
}

export interface OwnHeader {
  /** What the writer was given. */
  readonly metadata: ReadonlyMap<string, string>;
  readonly matrices: ReadonlyMap<string, MatrixRecord>;
}

/** Whether a file says that it is one of ours. */
export function isOwn({ container, metadata }: WeightFile): boolean {
  return container === "safetensors" && metadata.has(VERSION_KEY);
}

/**
 * @throws FileError for a file of another kind or version, or one whose header was changed
 */
export function readOwnHeader(file: WeightFile): OwnHeader {
  const where = plain(file.name);
  if (!isOwn(file))
    throw new FileError(`${where}: expected a file of lowbit, got ${file.container} without ${VERSION_KEY}`);
  const texts = [...file.metadata].map(([key, { value }]): [string, string] => [key, String(value)]);
  const metadata = new Map(texts);
  const version = metadata.get(VERSION_KEY);
  if (version !== VERSION) {
    throw new FileError(
      `${where}: ${VERSION_KEY}: expected ${quote(VERSION)}, got ${quote(version ?? "")}: made by another version of lowbit`,
    );
  }
  const [expected, got] = [metadata.get(HEADER_KEY) ?? "none", headerSum(metadata, file.tensors.values())];
  if (expected !== got)
    throw new FileError(
      `${where}: ${HEADER_KEY}: expected checksum ${quote(expected)}, got ${got}: the header is damaged`,
    );
  const text = metadata.get(MATRICES_KEY);
  if (text === undefined) throw new FileError(`${where}: ${MATRICES_KEY}: expected records of matrices, got none`);
  const matrices = new Map<string, MatrixRecord>();
  for (const [name, json] of parseObject(`${where}: ${MATRICES_KEY}`, new TextEncoder().encode(text))) {
    const at = `${where}: ${plain(name)}`;
    const tensor = file.tensors.get(name);
    if (tensor?.dtype !== "U8" || tensor.shape.length !== 1 || name.startsWith(PREFIX)) {
      throw new FileError(
        `${at}: expected a tensor of U8 with one dimension, got ${tensor ? `${tensor.dtype} [${tensor.shape}]` : "none"}`,
      );
    }
    matrices.set(name, readRecord(at, json));
  }
  const sums = file.tensors.get(CHECKSUMS);
  const count = file.tensors.size - 1;
  if (sums?.dtype !== "U8" || sums.byteLength !== count * SUM_BYTES) {
    throw new FileError(
      `${where}: ${CHECKSUMS}: expected ${SUM_BYTES} bytes for each of ${count} tensors, got ${sums?.byteLength ?? "none"}`,
    );
  }
  for (const key of [VERSION_KEY, MATRICES_KEY, HEADER_KEY]) metadata.delete(key);
  return { metadata, matrices };
}
