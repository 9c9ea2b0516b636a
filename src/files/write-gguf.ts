// Writing GGUF files.
import { kindOf } from "../lib/arrays.ts";
import { checkChoice, checkOptions, rangeError, typeError } from "../lib/check.ts";
import { type GgmlType, ggmlType, ggmlTypeId, swapBlocks } from "./ggml-types.ts";
import {
  DEFAULT_ALIGNMENT,
  GGUF_ARRAYS,
  GGUF_TYPES,
  type GgufScalar,
  type GgufValue,
  LONGEST_NAME,
  MOST_DIMENSIONS,
  padded,
} from "./gguf.ts";
import { checkNames } from "./options.ts";
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
import { checkText, sizeOf } from "./write-safetensors.ts";

export interface GgufContent {
  /** With their types, as an open file has them. "general.alignment" is kept to, if it is there. */
  readonly metadata: ReadonlyMap<string, GgufValue>;
  /** `dtype` is a type of ggml. */
  readonly tensors: readonly TensorContent[];
  /** Default 3. */
  readonly version?: 2 | 3 | undefined;
  /** Default "little". */
  readonly byteOrder?: "little" | "big" | undefined;
}

/**
 * Writes a GGUF file, or several of `shardBytes` at most: "X.gguf" becomes "X-00001-of-00003.gguf" and so on, of which the
 * first has the metadata.
 *
 * @throws TypeError, RangeError for content that makes no valid file, before anything is written; FileError for a target that
 * fails; the reason of an aborted signal. Nothing half-written is left.
 */
export async function writeGguf(target: ShardTarget, content: GgufContent, options: WriteOptions = {}): Promise<void> {
  const where = "writeGguf";
  checkOptions(`${where}: content`, content);
  checkNames(where, options, WRITE_NAMES);
  if (!Array.isArray(content.tensors)) throw typeError(`${where}: tensors`, "an array", content.tensors);
  if (typeof content.metadata?.get !== "function") throw typeError(`${where}: metadata`, "a Map", content.metadata);
  const names = new Set<string>();
  const sizes = content.tensors.map((tensor) => checkTensor(where, tensor, names).bytes);
  const groups = groupBySize(where, content.tensors, sizes, options.shardBytes);
  const files = groups.map((tensors, no) => {
    if (groups.length === 1) return planGguf(where, content, options.signal);
    const metadata = new Map<string, GgufValue>(no === 0 ? content.metadata : []);
    // Parts agree on where tensors may begin.
    const alignment = content.metadata.get("general.alignment");
    if (alignment !== undefined) metadata.set("general.alignment", alignment);
    metadata.set("split.no", { type: "u16", value: no });
    metadata.set("split.count", { type: "u16", value: groups.length });
    metadata.set("split.tensors.count", { type: "i32", value: content.tensors.length });
    return planGguf(where, { ...content, metadata, tensors }, options.signal);
  });
  await writeFiles(where, target, files, options);
}

function planGguf(where: string, content: GgufContent, signal: AbortSignal | undefined): FilePlan {
  const { version = 3, byteOrder = "little" } = content;
  if (version !== 2 && version !== 3) throw rangeError(`${where}: version`, "2 or 3", version);
  checkChoice(`${where}: byteOrder`, byteOrder, ["little", "big"]);
  const big = byteOrder === "big";
  const out = new Bytes(big);
  out.raw(Uint8Array.of(0x47, 0x47, 0x55, 0x46));
  out.number("u32", version);
  out.number("u64", BigInt(content.tensors.length));
  out.number("u64", BigInt(content.metadata.size));
  for (const [key, value] of content.metadata) writePair(`${where}: metadata: ${plain(key)}`, out, key, value);
  const alignment = alignmentOf(where, content.metadata);
  const names = new Set<string>();
  let offset = 0;
  const placed = content.tensors.map((tensor) => {
    const sized = checkTensor(where, tensor, names);
    out.string(tensor.name);
    out.number("u32", tensor.shape.length);
    for (const size of [...tensor.shape].reverse()) out.number("u64", BigInt(size));
    out.number("u32", sized.id);
    out.number("u64", BigInt(offset));
    offset += padded(sized.bytes, alignment);
    return { tensor, ...sized };
  });
  const head = out.bytes();
  const total = placed.length === 0 ? head.length : padded(head.length, alignment) + offset;
  async function* chunks(): AsyncGenerator<Uint8Array> {
    yield head;
    if (placed.length === 0) return;
    yield new Uint8Array(padded(head.length, alignment) - head.length);
    for (const { tensor, at, type, bytes } of placed) {
      const pieces = piecesOf(at, tensor.data, bytes, signal);
      yield* big ? swapped(pieces, type) : pieces;
      const rest = padded(bytes, alignment) - bytes;
      if (rest > 0) yield new Uint8Array(rest);
    }
  }
  return { total, chunks };
}

interface Sized {
  readonly at: string;
  readonly id: number;
  readonly type: GgmlType;
  readonly bytes: number;
}

function checkTensor(where: string, { name, dtype, shape }: TensorContent, names: Set<string>): Sized {
  if (typeof name !== "string") throw typeError(`${where}: name`, "a string", name);
  const at = `${where}: ${plain(name)}`;
  checkText(at, name);
  const length = new TextEncoder().encode(name).length;
  if (length < 1 || length > LONGEST_NAME) {
    throw rangeError(at, `a name of 1 to ${LONGEST_NAME} bytes, which is what readers take`, `${length} bytes`);
  }
  if (names.has(name)) throw rangeError(at, "a name that is not taken", quote(name));
  names.add(name);
  const id = ggmlTypeId(dtype);
  const type = id === undefined ? undefined : ggmlType(id);
  if (id === undefined || type === undefined) throw rangeError(`${at}: dtype`, "a type of ggml", quote(String(dtype)));
  const size = sizeOf(`${at}: shape`, shape);
  if (shape.length < 1 || shape.length > MOST_DIMENSIONS || size === 0) {
    throw rangeError(`${at}: shape`, `1 to ${MOST_DIMENSIONS} sizes, none of them 0`, `[${shape}]`);
  }
  const cols = shape.at(-1) as number;
  if (cols % type.columns !== 0)
    throw rangeError(`${at}: shape`, `columns in multiples of ${type.columns} (${dtype})`, `${cols}`);
  const bytes = (size / type.columns) * type.bytes + type.tail;
  if (!Number.isSafeInteger(bytes)) throw rangeError(`${at}: shape`, "less than 2^53 bytes", `[${shape}]`);
  return { at, id, type, bytes };
}

function alignmentOf(where: string, metadata: ReadonlyMap<string, GgufValue>): number {
  const given = metadata.get("general.alignment");
  if (given === undefined) return DEFAULT_ALIGNMENT;
  const { type, value } = given;
  if (type === "u32" && typeof value === "number" && value > 0 && (value & (value - 1)) === 0) return value;
  throw rangeError(`${where}: metadata: general.alignment`, "a power of two of type u32", `${type} ${String(value)}`);
}

function writePair(where: string, out: Bytes, key: string, pair: GgufValue): void {
  if (typeof key !== "string") throw typeError(where, "a string as key", key);
  if (key === "") throw rangeError(where, "a key", "an empty one");
  checkText(where, key);
  checkOptions(where, pair);
  checkChoice(`${where}: type`, pair.type, GGUF_TYPES);
  out.string(key);
  out.number("u32", GGUF_TYPES.indexOf(pair.type));
  if (pair.type !== "array") {
    writeValue(where, out, pair.type, pair.value);
    return;
  }
  const { of, value } = pair;
  const scalars = GGUF_TYPES.filter((type) => type !== "array");
  checkChoice(`${where}: of`, of, scalars);
  out.number("u32", GGUF_TYPES.indexOf(of));
  if (of !== "string") {
    const expected = GGUF_ARRAYS[of].name;
    if (kindOf(value) !== expected) throw typeError(where, `a ${expected}`, value);
  } else if (!Array.isArray(value)) throw typeError(where, "an array of strings", value);
  out.number("u64", BigInt(value.length));
  for (const one of value) writeValue(where, out, of, of === "bool" ? one === 1 || one : one);
}

function writeValue(where: string, out: Bytes, type: GgufScalar, value: unknown): void {
  if (type === "string") {
    if (typeof value !== "string" && kindOf(value) !== "Uint8Array")
      throw typeError(where, "a string, or its bytes", value);
    if (typeof value !== "string") out.text(value as Uint8Array);
    else {
      checkText(where, value);
      out.string(value);
    }
    return;
  }
  if (type === "bool") {
    if (value !== true && value !== false && value !== 0) throw typeError(where, "true or false", value);
    out.raw(Uint8Array.of(value ? 1 : 0));
    return;
  }
  const wide = type === "u64" || type === "i64";
  if (typeof value !== (wide ? "bigint" : "number")) throw typeError(where, wide ? "a bigint" : "a number", value);
  const number = value as number | bigint;
  const kept = new GGUF_ARRAYS[type](1);
  kept[0] = number;
  const same = type === "f32" || type === "f64" || kept[0] === number;
  if (!same) throw rangeError(where, `a number that ${type} has`, String(number));
  out.number(type, number);
}

/** Numbers of several bytes turned round. Pieces are cut to whole blocks. */
async function* swapped(pieces: AsyncIterable<Uint8Array>, type: GgmlType): AsyncGenerator<Uint8Array> {
  let rest = new Uint8Array(0);
  for await (const piece of pieces) {
    const all = new Uint8Array(rest.length + piece.length);
    all.set(rest);
    all.set(piece, rest.length);
    const whole = all.length - (all.length % type.bytes);
    const blocks = all.subarray(0, whole);
    swapBlocks(blocks, type);
    rest = all.slice(whole);
    if (whole > 0) yield blocks;
  }
  if (rest.length > 0) yield rest;
}

/** Bytes that grow. */
class Bytes {
  readonly #big: boolean;
  #bytes = new Uint8Array(1 << 12);
  #length = 0;

  constructor(big: boolean) {
    this.#big = big;
  }

  raw(bytes: Uint8Array): void {
    const end = this.#length + bytes.length;
    if (end > this.#bytes.length) {
      const longer = new Uint8Array(Math.max(end, 2 * this.#bytes.length));
      longer.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = longer;
    }
    this.#bytes.set(bytes, this.#length);
    this.#length = end;
  }

  number(type: Exclude<GgufScalar, "string" | "bool">, value: number | bigint): void {
    const one = new GGUF_ARRAYS[type](1);
    one[0] = value;
    const bytes = new Uint8Array(one.buffer);
    this.raw(this.#big ? bytes.reverse() : bytes);
  }

  string(text: string): void {
    this.text(new TextEncoder().encode(text));
  }

  text(bytes: Uint8Array): void {
    this.number("u64", BigInt(bytes.length));
    this.raw(bytes);
  }

  bytes(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }
}
