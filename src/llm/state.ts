// A saved session: little-endian, so that what one machine wrote any other reads.
//
//     "LBKV" u32 version (2) u32 bytes of the fingerprint, of the kind of its cache, u32 tokens, u32 bytes of keys and values
//     fingerprint, kind (kv-layout.ts), tokens (u32 each), keys and values (cache.ts), FNV-1a of all before (u32)
import { rangeError, typeError } from "../lib/check.ts";
import type { KvCache } from "./cache.ts";
import { kvLabel } from "./kv-layout.ts";

const MAGIC = 0x564b424c;
const VERSION = 2;
const HEAD = 24;

export function writeState(fingerprint: string, tokens: readonly number[], cache: KvCache): Uint8Array {
  const name = new TextEncoder().encode(fingerprint);
  const kind = new TextEncoder().encode(kvLabel(cache.layout));
  const numbers = cache.save(tokens.length);
  const bytes = new Uint8Array(HEAD + name.length + kind.length + 4 * tokens.length + numbers.length + 4);
  const view = new DataView(bytes.buffer);
  const words = [MAGIC, VERSION, name.length, kind.length, tokens.length, numbers.length];
  for (const [i, word] of words.entries()) view.setUint32(4 * i, word, true);
  bytes.set(name, HEAD);
  bytes.set(kind, HEAD + name.length);
  let at = HEAD + name.length + kind.length;
  for (const token of tokens) {
    view.setUint32(at, token, true);
    at += 4;
  }
  bytes.set(numbers, at);
  at += numbers.length;
  view.setUint32(at, checksum(bytes.subarray(0, at)), true);
  return bytes;
}

/**
 * @param cache that the state is for: nothing has happened to it yet
 * @throws TypeError, RangeError for bytes that are damaged, of another model, of a cache of another kind, or longer than the context
 */
export function readState(
  where: string,
  saved: unknown,
  fingerprint: string,
  cache: KvCache,
  context: number,
): { tokens: number[]; numbers: Uint8Array } {
  if (!(saved instanceof Uint8Array)) throw typeError(`${where}: saved`, "a Uint8Array", saved);
  const view = new DataView(saved.buffer, saved.byteOffset, saved.byteLength);
  const word = (i: number): number => (saved.length >= HEAD ? view.getUint32(4 * i, true) : 0);
  if (word(0) !== MAGIC || word(1) !== VERSION)
    throw rangeError(`${where}: saved`, "what save() gave", "something else");
  const [nameLength, kindLength, count, length] = [word(2), word(3), word(4), word(5)];
  const size = HEAD + nameLength + kindLength + 4 * count + length + 4;
  if (saved.length !== size) throw rangeError(`${where}: saved`, `${size} bytes`, String(saved.length));
  if (view.getUint32(size - 4, true) !== checksum(saved.subarray(0, size - 4))) {
    throw rangeError(`${where}: saved`, "bytes as they were saved", "others");
  }
  const textAt = (at: number, bytes: number): string => new TextDecoder().decode(saved.subarray(at, at + bytes));
  const name = textAt(HEAD, nameLength);
  if (name !== fingerprint)
    throw rangeError(`${where}: saved`, `a session of this model (${fingerprint})`, name.slice(0, 200));
  const kind = textAt(HEAD + nameLength, kindLength);
  const own = kvLabel(cache.layout);
  if (kind !== own) throw rangeError(`${where}: saved`, `keys and values of this kind (${own})`, kind.slice(0, 200));
  if (count > context) throw rangeError(`${where}: saved`, `at most ${context} tokens`, String(count));
  if (length !== cache.savedBytes(count)) {
    throw rangeError(`${where}: saved`, "keys and values of its tokens", `${length} bytes`);
  }
  const at = HEAD + nameLength + kindLength;
  const tokens = Array.from({ length: count }, (_, i) => view.getUint32(at + 4 * i, true));
  return { tokens, numbers: saved.subarray(at + 4 * count, at + 4 * count + length) };
}

/** FNV-1a of 32 bits (Fowler, Noll, Vo). */
export function checksum(bytes: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < bytes.length; i++) hash = Math.imul(hash ^ (bytes[i] as number), 0x01000193);
  return hash >>> 0;
}
