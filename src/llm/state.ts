// A saved session: little-endian, so that what one machine wrote any other reads.
//
//     "LBKV" u32 version (1) u32 bytes of the fingerprint, u32 tokens, u32 numbers
//     fingerprint, tokens (u32 each), float32 [layer][keys, values][token][KV head][size], FNV-1a of all before (u32)
import { rangeError, typeError } from "../lib/check.ts";
import type { ModelConfig } from "./config.ts";

const MAGIC = 0x564b424c;
const VERSION = 1;
const HEAD = 20;

export function writeState(fingerprint: string, tokens: readonly number[], numbers: Float32Array): Uint8Array {
  const name = new TextEncoder().encode(fingerprint);
  const bytes = new Uint8Array(HEAD + name.length + 4 * tokens.length + 4 * numbers.length + 4);
  const view = new DataView(bytes.buffer);
  for (const [i, word] of [MAGIC, VERSION, name.length, tokens.length, numbers.length].entries()) {
    view.setUint32(4 * i, word, true);
  }
  bytes.set(name, HEAD);
  let at = HEAD + name.length;
  for (const token of tokens) {
    view.setUint32(at, token, true);
    at += 4;
  }
  for (const number of numbers) {
    view.setFloat32(at, number, true);
    at += 4;
  }
  view.setUint32(at, checksum(bytes.subarray(0, at)), true);
  return bytes;
}

/** @throws TypeError, RangeError for bytes that are damaged, of another model, or longer than the context; nothing has happened then */
export function readState(
  where: string,
  saved: unknown,
  fingerprint: string,
  { layers, kvHeads, headSize }: ModelConfig,
  context: number,
): { tokens: number[]; numbers: Float32Array } {
  if (!(saved instanceof Uint8Array)) throw typeError(`${where}: saved`, "a Uint8Array", saved);
  const view = new DataView(saved.buffer, saved.byteOffset, saved.byteLength);
  const word = (i: number): number => (saved.length >= HEAD ? view.getUint32(4 * i, true) : 0);
  if (word(0) !== MAGIC || word(1) !== VERSION)
    throw rangeError(`${where}: saved`, "what save() gave", "something else");
  const [nameLength, count, length] = [word(2), word(3), word(4)];
  const size = HEAD + nameLength + 4 * count + 4 * length + 4;
  if (saved.length !== size) throw rangeError(`${where}: saved`, `${size} bytes`, String(saved.length));
  if (view.getUint32(size - 4, true) !== checksum(saved.subarray(0, size - 4))) {
    throw rangeError(`${where}: saved`, "bytes as they were saved", "others");
  }
  const name = new TextDecoder().decode(saved.subarray(HEAD, HEAD + nameLength));
  if (name !== fingerprint)
    throw rangeError(`${where}: saved`, `a session of this model (${fingerprint})`, name.slice(0, 200));
  if (length !== 2 * layers.length * count * kvHeads * headSize) {
    throw rangeError(`${where}: saved`, "keys and values of its tokens", `${length} numbers`);
  }
  if (count > context) throw rangeError(`${where}: saved`, `at most ${context} tokens`, String(count));
  let at = HEAD + nameLength;
  const tokens = Array.from({ length: count }, (_, i) => view.getUint32(at + 4 * i, true));
  at += 4 * count;
  const numbers = Float32Array.from({ length }, (_, i) => view.getFloat32(at + 4 * i, true));
  return { tokens, numbers };
}

/** FNV-1a of 32 bits (Fowler, Noll, Vo). */
export function checksum(bytes: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < bytes.length; i++) hash = Math.imul(hash ^ (bytes[i] as number), 0x01000193);
  return hash >>> 0;
}
