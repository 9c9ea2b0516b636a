// GGUF: what is before the data of tensors. Versions 2 and 3, either byte order. Source: ggml's page on GGUF and its gguf.cpp;
// where llama.cpp takes what the page forbids, this does not.
import { FileError } from "./errors.ts";
import { foreignType, type GgmlType, ggmlType } from "./ggml-types.ts";
import { plain, quote, refuseKind, utf8 } from "./text.ts";

export const GGUF_TYPES = [
  "u8",
  "i8",
  "u16",
  "i16",
  "u32",
  "i32",
  "f32",
  "bool",
  "string",
  "array",
  "u64",
  "i64",
  "f64",
] as const;
export type GgufType = (typeof GGUF_TYPES)[number];
export type GgufScalar = Exclude<GgufType, "array">;

/** A value with its type, which a copy must keep. Whole numbers of 64 bits are bigints; text that is no UTF-8 is its bytes. */
export type GgufValue =
  | { readonly type: GgufScalar; readonly value: number | bigint | boolean | string | Uint8Array }
  | { readonly type: "array"; readonly of: GgufScalar; readonly value: GgufArray };

/** Numbers are typed arrays of their type; truth values are bytes. */
export type GgufArray =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array
  | BigUint64Array
  | BigInt64Array
  | readonly (string | Uint8Array)[];

export interface GgufTensor {
  readonly name: string;
  readonly type: GgmlType;
  /** Rows before columns: the other way round than in the file. */
  readonly shape: readonly number[];
  /** Bytes of the file. */
  readonly begin: number;
  readonly end: number;
}

export interface GgufHeader {
  readonly version: number;
  readonly bigEndian: boolean;
  readonly alignment: number;
  readonly metadata: ReadonlyMap<string, GgufValue>;
  readonly tensors: readonly GgufTensor[];
  /** Where the data begin. */
  readonly dataAt: number;
}

/** The header goes on beyond the bytes that are there. */
export class MoreBytes extends Error {
  readonly end: number;
  constructor(end: number) {
    super();
    this.end = end;
  }
}

/** Bytes of a value, by its number in GGUF_TYPES; 0: it says its length. */
const SIZES = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8] as const;
export const GGUF_ARRAYS = {
  u8: Uint8Array,
  i8: Int8Array,
  u16: Uint16Array,
  i16: Int16Array,
  u32: Uint32Array,
  i32: Int32Array,
  f32: Float32Array,
  bool: Uint8Array,
  u64: BigUint64Array,
  i64: BigInt64Array,
  f64: Float64Array,
} as const;

/** llama.cpp's limits: strings and arrays of a gibibyte or element, names of tensors of 63 bytes, four dimensions. */
const LONGEST = 1 << 30;
export const LONGEST_NAME = 63;
export const MOST_DIMENSIONS = 4;
export const DEFAULT_ALIGNMENT = 32;
/** Headers have a vocabulary of some megabytes; what is longer than this is not read to its end to see that it is wrong. */
const LONGEST_HEADER = 1 << 28;

/**
 * Reads the header from the first bytes of a file of `size` bytes.
 *
 * @throws MoreBytes if `bytes` end before the header; FileError if the file is not what it should be
 */
export function readGguf(name: string, bytes: Uint8Array, size: number): GgufHeader {
  const reader = new Reader(plain(name), bytes, size);
  reader.magic();
  const tensorCount = reader.count("number of tensors", 24);
  const pairCount = reader.count("number of pairs", 13);
  const metadata = new Map<string, GgufValue>();
  for (let i = 0; i < pairCount; i++) {
    const at = reader.at;
    const key = reader.text(`key of pair ${i}`);
    if (key === "") throw reader.fault(at, `pair ${i}: expected a key, got an empty one`);
    if (metadata.has(key)) throw reader.fault(at, `${quote(key)}: the key is there twice`);
    metadata.set(key, reader.pair(quote(key)));
  }
  const alignment = alignmentOf(reader, metadata);
  const infos: Info[] = [];
  const names = new Set<string>();
  for (let i = 0; i < tensorCount; i++) {
    const info = reader.info(i);
    if (names.has(info.name)) throw reader.fault(info.at, `${quote(info.name)}: the name is there twice`);
    names.add(info.name);
    infos.push(info);
  }
  const dataAt = infos.length === 0 ? reader.at : padded(reader.at, alignment);
  const tensors = placeTensors(reader, infos, dataAt, alignment);
  return { version: reader.version, bigEndian: reader.bigEndian, alignment, metadata, tensors, dataAt };
}

/** The next multiple. Bit operators would cut it to 32 bits. */
export function padded(size: number, alignment: number): number {
  return Math.ceil(size / alignment) * alignment;
}

function alignmentOf(reader: Reader, metadata: ReadonlyMap<string, GgufValue>): number {
  const given = metadata.get("general.alignment");
  if (given === undefined) return DEFAULT_ALIGNMENT;
  const { type, value } = given;
  if (type === "u32" && typeof value === "number" && value > 0 && (value & (value - 1)) === 0) return value;
  const got = typeof value === "object" ? `an ${type}` : `${type} ${plain(String(value))}`;
  throw reader.fault(reader.at, `"general.alignment": expected a power of two of type u32, got ${got}`);
}

interface Info {
  readonly name: string;
  readonly at: number;
  readonly id: number;
  readonly shape: readonly number[];
  readonly offset: bigint;
}

// Offsets say nothing new: each is the sum of the padded sizes before it. BigInt, because a product of sizes may leave
// 53 bits, and 64 when it is padded.
function placeTensors(reader: Reader, infos: readonly Info[], dataAt: number, alignment: number): GgufTensor[] {
  const align = BigInt(alignment);
  const room = BigInt(reader.size) - BigInt(dataAt);
  if (infos.length > 0 && room < 0n) throw reader.fault(reader.size, "file is truncated before the data of tensors");
  let filled = 0n;
  const tensors = infos.map(({ name, at, id, shape, offset }): GgufTensor => {
    const type = ggmlType(id);
    const where = quote(name);
    if (type === undefined) {
      throw reader.fault(at, `${where}: expected a type of ggml, got ${foreignType(id)}`);
    }
    if (offset !== filled) throw reader.fault(at, `${where}: offset: expected ${filled}, got ${offset}`);
    const cols = shape.at(-1) as number;
    if (cols % type.columns !== 0) {
      throw reader.fault(at, `${where}: expected columns in multiples of ${type.columns} (${type.name}), got ${cols}`);
    }
    let bytes = BigInt(type.bytes) * BigInt(cols / type.columns);
    for (const count of shape.slice(0, -1)) bytes *= BigInt(count);
    bytes += BigInt(type.tail);
    const begin = filled;
    const end = filled + bytes;
    if (end > room) {
      const need = `expected ${bytes} bytes of data (${type.name} [${shape}])`;
      throw reader.fault(
        at,
        `${where}: file is truncated: ${need} from byte ${BigInt(dataAt) + begin}, got ${room - begin}`,
      );
    }
    filled = ((end + align - 1n) / align) * align;
    return { name, type, shape, begin: dataAt + Number(begin), end: dataAt + Number(end) };
  });
  if (infos.length > 0 && filled !== room) {
    const what =
      filled > room ? "the padding after the last tensor is missing" : "there are bytes after the last tensor";
    throw reader.fault(reader.size, `${what}: expected ${filled} bytes of data, got ${room}`);
  }
  return tensors;
}

class Reader {
  readonly name: string;
  readonly size: number;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  at = 0;
  version = 0;
  bigEndian = false;

  constructor(name: string, bytes: Uint8Array, size: number) {
    this.name = name;
    this.size = size;
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  fault(at: number, message: string): FileError {
    return new FileError(`${this.name}: byte ${at}: ${message}`);
  }

  magic(): void {
    const bytes = this.#bytes;
    if (!(bytes[0] === 0x47 && bytes[1] === 0x47 && bytes[2] === 0x55 && bytes[3] === 0x46)) {
      refuseKind(this.name, "GGUF", "the letters GGUF", bytes);
    }
    this.at = 4;
    const at = this.#take("version", 4);
    const version = this.#view.getUint32(at, true);
    // Nothing but the version says which byte order a file has.
    this.bigEndian = (version & 0xffff) === 0 && version !== 0;
    this.version = this.#view.getUint32(at, !this.bigEndian);
    if (this.version !== 2 && this.version !== 3) throw this.fault(at, `version: expected 2 or 3, got ${this.version}`);
  }

  /** A number of things that take `least` bytes each. */
  count(what: string, least: number): number {
    const at = this.at;
    const count = this.#u64(what);
    const most = Math.floor((this.size - this.at) / least);
    if (count > BigInt(most)) {
      throw this.fault(at, `${what}: expected ${most} at most (the file has ${this.size} bytes), got ${count}`);
    }
    return Number(count);
  }

  text(what: string): string {
    const at = this.at;
    const text = this.#string(what);
    if (typeof text === "string") return text;
    throw this.fault(at, `${what}: expected UTF-8`);
  }

  pair(what: string): GgufValue {
    const type = this.#type(what);
    if (type !== "array") return { type, value: this.#value(what, type) };
    const at = this.at;
    const of = this.#type(`${what}: elements`);
    if (of === "array") throw this.fault(at, `${what}: expected an array of values, got one of arrays`);
    const size = SIZES[GGUF_TYPES.indexOf(of)] as number;
    const countAt = this.at;
    const count = this.count(`${what}: number of elements`, size || 8);
    if (count > LONGEST) throw this.fault(countAt, `${what}: expected ${LONGEST} elements at most, got ${count}`);
    if (of === "string") {
      const value: (string | Uint8Array)[] = [];
      for (let i = 0; i < count; i++) value.push(this.#string(what));
      return { type, of, value };
    }
    const start = this.#take(what, count * size);
    const bytes = this.#bytes.slice(start, start + count * size);
    if (this.bigEndian) for (let i = 0; i < bytes.length; i += size) bytes.subarray(i, i + size).reverse();
    if (of === "bool" && bytes.some((byte) => byte > 1))
      throw this.fault(start, `${what}: expected 0 or 1 as truth values`);
    return { type, of, value: new GGUF_ARRAYS[of](bytes.buffer) };
  }

  info(i: number): Info {
    const at = this.at;
    const name = this.text(`name of tensor ${i}`);
    const length = this.at - at - 8;
    if (length < 1 || length > LONGEST_NAME) {
      throw this.fault(at, `name of tensor ${i}: expected 1 to ${LONGEST_NAME} bytes, got ${length}`);
    }
    const where = quote(name);
    const count = this.#u32(`${where}: dimensions`);
    if (count < 1 || count > MOST_DIMENSIONS) {
      throw this.fault(at, `${where}: expected 1 to ${MOST_DIMENSIONS} dimensions, got ${count}`);
    }
    const shape: number[] = [];
    for (let d = 0; d < count; d++) {
      const size = this.#u64(`${where}: dimension ${d}`);
      if (size < 1n || size > BigInt(Number.MAX_SAFE_INTEGER)) {
        throw this.fault(at, `${where}: dimension ${d}: expected 1 to 2^53 - 1, got ${size}`);
      }
      shape.unshift(Number(size));
    }
    const id = this.#u32(`${where}: type`);
    return { name, at, id, shape, offset: this.#u64(`${where}: offset`) };
  }

  #take(what: string, bytes: number): number {
    const at = this.at;
    const end = at + bytes;
    if (end > this.size) {
      throw this.fault(at, `${what}: file is truncated: expected ${bytes} bytes, got ${this.size - at}`);
    }
    if (end > LONGEST_HEADER) throw this.fault(at, `${what}: expected a header of ${LONGEST_HEADER} bytes at most`);
    if (end > this.#bytes.length) throw new MoreBytes(end);
    this.at = end;
    return at;
  }

  #u32(what: string): number {
    return this.#view.getUint32(this.#take(what, 4), !this.bigEndian);
  }

  #u64(what: string): bigint {
    return this.#view.getBigUint64(this.#take(what, 8), !this.bigEndian);
  }

  #string(what: string): string | Uint8Array {
    const at = this.at;
    const length = this.#u64(what);
    if (length > LONGEST) throw this.fault(at, `${what}: expected ${LONGEST} bytes at most, got ${length}`);
    const start = this.#take(what, Number(length));
    const bytes = this.#bytes.subarray(start, start + Number(length));
    return ascii(bytes) ?? utf8(bytes) ?? bytes.slice();
  }

  #type(what: string): GgufType {
    const at = this.at;
    const id = this.#u32(`${what}: type`);
    const type = GGUF_TYPES[id];
    if (type === undefined)
      throw this.fault(at, `${what}: expected a type from 0 to ${GGUF_TYPES.length - 1}, got ${id}`);
    return type;
  }

  #value(what: string, type: GgufScalar): number | bigint | boolean | string | Uint8Array {
    if (type === "string") return this.#string(what);
    const at = this.#take(what, SIZES[GGUF_TYPES.indexOf(type)] as number);
    const view = this.#view;
    const little = !this.bigEndian;
    switch (type) {
      case "u8":
        return view.getUint8(at);
      case "i8":
        return view.getInt8(at);
      case "u16":
        return view.getUint16(at, little);
      case "i16":
        return view.getInt16(at, little);
      case "u32":
        return view.getUint32(at, little);
      case "i32":
        return view.getInt32(at, little);
      case "f32":
        return view.getFloat32(at, little);
      case "u64":
        return view.getBigUint64(at, little);
      case "i64":
        return view.getBigInt64(at, little);
      case "f64":
        return view.getFloat64(at, little);
      case "bool": {
        const byte = view.getUint8(at);
        if (byte > 1) throw this.fault(at, `${what}: expected 0 or 1 as a truth value, got ${byte}`);
        return byte === 1;
      }
    }
  }
}

/** Tokens are short and mostly ASCII; a TextDecoder takes longer to begin than they take. */
function ascii(bytes: Uint8Array): string | undefined {
  if (bytes.length > 32) return undefined;
  let text = "";
  for (const byte of bytes) {
    if (byte > 127) return undefined;
    text += String.fromCharCode(byte);
  }
  return text;
}
