// The safetensors format: 8 bytes of header length (little-endian), a JSON header, the data. Everything that a damaged file
// can get wrong is checked here, once: what comes out is never shorter, longer or elsewhere than its header says.
// Source: huggingface/safetensors, README.md and safetensors/src/tensor.rs.

import { kindOf } from "../lib/arrays.ts";
import { typeError } from "../lib/check.ts";
import { FileError } from "./errors.ts";
import { type Json, type JsonObject, parseJson } from "./json.ts";
import { plain, refuseKind, show, utf8 } from "./text.ts";

export { FileError } from "./errors.ts";

/** Bits an element, by type. F4 and F6 lie densely, and their tensors fill whole bytes. */
const DTYPE_BITS: ReadonlyMap<string, number> = /* @__PURE__ */ new Map([
  ["F4", 4],
  ["F6_E2M3", 6],
  ["F6_E3M2", 6],
  ["BOOL", 8],
  ["U8", 8],
  ["I8", 8],
  ["F8_E4M3", 8],
  ["F8_E5M2", 8],
  ["F8_E8M0", 8],
  ["F8_E4M3FNUZ", 8],
  ["F8_E5M2FNUZ", 8],
  ["U16", 16],
  ["I16", 16],
  ["F16", 16],
  ["BF16", 16],
  ["U32", 32],
  ["I32", 32],
  ["F32", 32],
  ["U64", 64],
  ["I64", 64],
  ["F64", 64],
  ["C64", 64],
]);

/** The limit of the reference implementation; a longer header is a file of another kind. */
const MAX_HEADER_BYTES = 100_000_000;
/** Bytes before the header: its length. */
const PREFIX = 8;
/** Bytes that say of which kind a file is. */
export const FIRST_BYTES = 128;
/** The reference counts elements and bits in 64 bits, and refuses what goes beyond. */
const MOST = 1n << 64n;

export interface Tensor {
  readonly name: string;
  /** As the file says it. One that is not of the format's list is handed on, since only the caller can know what it means. */
  readonly dtype: string;
  readonly shape: readonly number[];
  /** The bytes as stored: a view of the file, at any alignment. */
  readonly data: Uint8Array;
}

export interface Safetensors {
  /** What error messages call the file. */
  readonly name: string;
  readonly metadata: ReadonlyMap<string, string>;
  readonly tensors: ReadonlyMap<string, Tensor>;
}

/** Where a tensor is: bytes from `begin` to `end` of the file. */
export interface SafetensorsEntry {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

export interface SafetensorsHeader {
  readonly metadata: ReadonlyMap<string, string>;
  /** In the order of the data. */
  readonly entries: readonly SafetensorsEntry[];
}

/**
 * Reads a whole safetensors file.
 *
 * A tensor whose type is not of the format's list does not keep the others from being read; that its shape fits its bytes
 * cannot be known.
 *
 * @param bytes the file, in memory of any kind; the tensors are views of it, not copies
 * @param name what error messages call the file
 * @throws FileError if the file is cut short, damaged, or has bytes that no tensor claims
 */
export function parseSafetensors(bytes: Uint8Array, name = "safetensors"): Safetensors {
  if (kindOf(bytes) !== "Uint8Array") throw typeError("parseSafetensors: bytes", "a Uint8Array", bytes);
  if (typeof name !== "string") throw typeError("parseSafetensors: name", "a string", name);
  const end = headerEnd(name, bytes.subarray(0, FIRST_BYTES), bytes.length);
  const { metadata, entries } = readHeader(name, bytes.subarray(PREFIX, end), bytes.length);
  const tensors = new Map<string, Tensor>();
  for (const { name: tensor, dtype, shape, begin, end: last } of entries) {
    tensors.set(tensor, { name: tensor, dtype, shape, data: bytes.subarray(begin, last) });
  }
  return { name, metadata, tensors };
}

/**
 * Where the header ends, from the first 128 bytes of a file of `size` bytes, or all of a shorter one.
 *
 * @throws FileError if the file is of another kind or cut short
 */
export function headerEnd(name: string, first: Uint8Array, size: number): number {
  const view = new DataView(first.buffer, first.byteOffset, first.byteLength);
  const length = first.length > PREFIX ? view.getBigUint64(0, true) : 0n;
  if (length < 2n || length > MAX_HEADER_BYTES || first[PREFIX] !== 0x7b) {
    refuseKind(name, "safetensors", `the length of a header, ${MAX_HEADER_BYTES} bytes at most, and {`, first);
  }
  const end = PREFIX + Number(length);
  if (end > size) {
    throw new FileError(
      `${plain(name)}: file is truncated: expected a header of ${length} bytes, got ${size - PREFIX}`,
    );
  }
  return end;
}

/**
 * Reads and checks a header.
 *
 * @param text its bytes, between the length and the data
 * @param size bytes of the whole file
 * @throws FileError
 */
export function readHeader(name: string, text: Uint8Array, size: number): SafetensorsHeader {
  const where = plain(name);
  const dataAt = PREFIX + text.length;
  const metadata = new Map<string, string>();
  const entries: SafetensorsEntry[] = [];
  for (const [key, value] of parseObject(`${where}: header`, text)) {
    if (key === "__metadata__") readMetadata(`${where}: ${key}`, value, metadata);
    else entries.push(readEntry(`${where}: ${plain(key)}`, key, value, dataAt));
  }

  // The order in the header is free; in the data, every byte must belong to exactly one tensor.
  entries.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let filled = dataAt;
  for (const { name: tensor, begin, end } of entries) {
    if (begin !== filled) {
      const fault = begin < filled ? "overlaps the tensor before it" : "leaves a hole before it";
      const offsets = `expected offset ${filled - dataAt}, got ${begin - dataAt}`;
      throw new FileError(`${where}: ${plain(tensor)}: data_offsets: ${fault}: ${offsets}`);
    }
    if (end > size) {
      const bytes = `expected data up to byte ${end - dataAt}, got ${size - dataAt} bytes of data`;
      throw new FileError(`${where}: ${plain(tensor)}: file is truncated: ${bytes}`);
    }
    filled = end;
  }
  if (filled !== size) {
    throw new FileError(
      `${where}: expected ${filled - dataAt} bytes of data (the sum of all tensors), got ${size - dataAt}`,
    );
  }
  return { metadata, entries };
}

/**
 * A JSON object of a file.
 *
 * @throws FileError
 */
export function parseObject(where: string, bytes: Uint8Array): JsonObject {
  const text = utf8(bytes);
  if (text === undefined) throw new FileError(`${where}: expected UTF-8`);
  let value: Json;
  try {
    value = parseJson(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new FileError(`${where} is not valid JSON: ${error.message}`);
  }
  if (!isObject(value)) throw new FileError(`${where}: expected an object, got ${show(value)}`);
  return value;
}

/** The bits of an element of that type; undefined for one that is not of the format's list. */
export function dtypeBits(dtype: string): number | undefined {
  return DTYPE_BITS.get(dtype);
}

function readMetadata(where: string, value: Json, metadata: Map<string, string>): void {
  if (!isObject(value)) throw new FileError(`${where}: expected an object, got ${show(value)}`);
  for (const [key, text] of value) {
    if (typeof text !== "string") throw new FileError(`${where}.${plain(key)}: expected a string, got ${show(text)}`);
    metadata.set(key, text);
  }
}

function readEntry(where: string, name: string, value: Json, dataAt: number): SafetensorsEntry {
  if (!isObject(value)) throw new FileError(`${where}: expected an object, got ${show(value)}`);
  const dtype = value.get("dtype");
  const shape = value.get("shape");
  const offsets = value.get("data_offsets");
  if (typeof dtype !== "string") throw new FileError(`${where}: dtype: expected a string, got ${show(dtype)}`);
  if (!isSizes(shape)) {
    throw new FileError(`${where}: shape: expected an array of non-negative integers, got ${show(shape)}`);
  }
  const [begin, end] = isSizes(offsets) ? offsets : [];
  if (!isSizes(offsets) || offsets.length !== 2 || begin === undefined || end === undefined || begin > end) {
    throw new FileError(`${where}: data_offsets: expected [begin, end] with 0 <= begin <= end, got ${show(offsets)}`);
  }
  checkBytes(where, dtype, shape, end - begin);
  return { name, dtype, shape, begin: dataAt + begin, end: dataAt + end };
}

function checkBytes(where: string, dtype: string, shape: readonly number[], bytes: number): void {
  const known = DTYPE_BITS.get(dtype);
  // Of a type that is not known, an element takes one bit or more.
  let bits = BigInt(known ?? 1);
  for (const size of shape) {
    bits *= BigInt(size);
    if (bits >= MOST) throw new FileError(`${where}: shape: expected less than 2^64 bits, got ${show(shape)}`);
  }
  const got = BigInt(bytes) * 8n;
  if (known === undefined ? bits <= got && (bits > 0n || got === 0n) : bits === got) return;
  const what = `${plain(dtype)} ${show(shape)}`;
  if (known === undefined) {
    throw new FileError(
      `${where}: data_offsets: expected a bit or more for each element of ${what}, got ${bytes} bytes`,
    );
  }
  const expected = bits % 8n === 0n ? `${bits / 8n} bytes` : `whole bytes, not ${bits} bits`;
  throw new FileError(`${where}: data_offsets: expected ${expected} (${what}), got ${bytes}`);
}

function isObject(value: unknown): value is JsonObject {
  return value instanceof Map;
}

function isSizes(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0 && !Object.is(size, -0));
}
