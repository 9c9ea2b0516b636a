/**
 * A strict reader of the safetensors format: 8 bytes of header length (little-endian), a JSON header, the data.
 * It works on bytes in any runtime. Everything a damaged file can get wrong is checked here, once, so that what comes
 * out can be trusted: a view of a tensor is never shorter, longer or elsewhere than its header says.
 */

/** Bytes an element, for the dtypes of the format that fill whole bytes. */
const DTYPE_BYTES: ReadonlyMap<string, number> = new Map([
  ["BOOL", 1],
  ["U8", 1],
  ["I8", 1],
  ["F8_E4M3", 1],
  ["F8_E5M2", 1],
  ["U16", 2],
  ["I16", 2],
  ["F16", 2],
  ["BF16", 2],
  ["U32", 4],
  ["I32", 4],
  ["F32", 4],
  ["U64", 8],
  ["I64", 8],
  ["F64", 8],
]);

/** The limit of the reference implementation; a longer header is a file of another kind. */
const MAX_HEADER_BYTES = 100_000_000;

/** The file is not what it should be. The message names the file and the tensor, what was expected and what was got. */
export class FileError extends Error {
  override name = "FileError";
}

export interface Tensor {
  readonly name: string;
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

/**
 * Reads a whole safetensors file.
 * @param bytes The file. The tensors are views of it, not copies.
 * @param name What error messages call the file.
 * @throws {FileError} If the file is truncated, corrupt, or has bytes that no tensor claims.
 */
export function parseSafetensors(bytes: Uint8Array, name = "safetensors"): Safetensors {
  const { header, data } = splitHeader(bytes, name);
  const metadata = new Map<string, string>();
  const entries: Entry[] = [];
  for (const [key, value] of Object.entries(header)) {
    if (key === "__metadata__") readMetadata(value, metadata, name);
    else entries.push(readEntry(key, value, name));
  }

  // The order in the header is free; in the data, every byte must belong to exactly one tensor.
  entries.sort((a, b) => a.begin - b.begin || a.end - b.end);
  const tensors = new Map<string, Tensor>();
  let filled = 0;
  for (const { name: tensor, dtype, shape, begin, end } of entries) {
    if (begin !== filled) {
      const fault = begin < filled ? "overlaps the tensor before it" : "leaves a hole before it";
      throw new FileError(`${name}: ${tensor}: ${fault}: expected offset ${filled}, got ${begin}`);
    }
    if (end > data.length) {
      throw new FileError(
        `${name}: ${tensor}: file is truncated: expected data up to byte ${end}, got ${data.length} bytes of data`,
      );
    }
    tensors.set(tensor, { name: tensor, dtype, shape, data: data.subarray(begin, end) });
    filled = end;
  }
  if (filled !== data.length) {
    throw new FileError(`${name}: expected ${filled} bytes of data (the sum of all tensors), got ${data.length}`);
  }
  return { name, metadata, tensors };
}

/**
 * The tensor of that name, dtype and shape.
 * @throws {FileError} If the file has no such tensor.
 */
export function getTensor(
  file: Safetensors,
  name: string,
  dtypes: readonly string[],
  shape: readonly number[],
): Tensor {
  const tensor = file.tensors.get(name);
  if (tensor === undefined) throw new FileError(`${file.name}: ${name}: tensor is missing`);
  if (!dtypes.includes(tensor.dtype)) {
    throw new FileError(`${file.name}: ${name}: expected dtype ${dtypes.join(" or ")}, got ${tensor.dtype}`);
  }
  if (tensor.shape.length !== shape.length || tensor.shape.some((size, i) => size !== shape[i])) {
    throw new FileError(`${file.name}: ${name}: expected shape [${shape}], got [${tensor.shape}]`);
  }
  return tensor;
}

/**
 * The values of an F32 or BF16 tensor, copied (the file may store them unaligned).
 * @throws {FileError} If there is no such tensor, or a value is NaN or infinite.
 */
export function getFloats(
  file: Safetensors,
  name: string,
  dtypes: readonly ("F32" | "BF16")[],
  shape: readonly number[],
): Float32Array {
  const { dtype, data } = getTensor(file, name, dtypes, shape);
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const values = new Float32Array(dtype === "F32" ? data.length / 4 : data.length / 2);
  if (dtype === "F32") {
    for (let i = 0; i < values.length; i++) values[i] = view.getFloat32(4 * i, true);
  } else {
    // A bfloat16 is the upper half of a float32.
    const bits = new Uint32Array(values.buffer);
    for (let i = 0; i < bits.length; i++) bits[i] = view.getUint16(2 * i, true) << 16;
  }
  const bad = values.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0)
    throw new FileError(`${file.name}: ${name}: expected finite values, got ${values[bad]} at index ${bad}`);
  return values;
}

interface Entry {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

function splitHeader(bytes: Uint8Array, name: string): { header: Record<string, unknown>; data: Uint8Array } {
  if (bytes.length < 8) {
    throw new FileError(`${name}: not a safetensors file: expected at least 8 bytes, got ${bytes.length}`);
  }
  const length = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
  if (length < 2n || length > MAX_HEADER_BYTES) {
    throw new FileError(
      `${name}: not a safetensors file: expected a header length of 2 to ${MAX_HEADER_BYTES} bytes, got ${length}`,
    );
  }
  const end = 8 + Number(length);
  if (end > bytes.length) {
    throw new FileError(`${name}: file is truncated: expected a header of ${length} bytes, got ${bytes.length - 8}`);
  }
  if (bytes[8] !== 0x7b) {
    throw new FileError(`${name}: not a safetensors file: expected a header that starts with {, got byte ${bytes[8]}`);
  }
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(8, end)));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new FileError(`${name}: header is not valid JSON: ${reason}`);
  }
  if (!isRecord(header)) throw new FileError(`${name}: header: expected a JSON object, got ${show(header)}`);
  return { header, data: bytes.subarray(end) };
}

function readMetadata(value: unknown, metadata: Map<string, string>, name: string): void {
  if (!isRecord(value)) throw new FileError(`${name}: __metadata__: expected an object, got ${show(value)}`);
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== "string") {
      throw new FileError(`${name}: __metadata__.${key}: expected a string, got ${show(text)}`);
    }
    metadata.set(key, text);
  }
}

function readEntry(tensor: string, value: unknown, name: string): Entry {
  if (!isRecord(value)) throw new FileError(`${name}: ${tensor}: expected an object, got ${show(value)}`);
  const { dtype, shape, data_offsets: offsets } = value;
  const size = typeof dtype === "string" ? DTYPE_BYTES.get(dtype) : undefined;
  if (typeof dtype !== "string" || size === undefined) {
    throw new FileError(
      `${name}: ${tensor}: dtype: expected one of ${[...DTYPE_BYTES.keys()].join(", ")}, got ${show(dtype)}`,
    );
  }
  if (!isSizes(shape)) {
    throw new FileError(`${name}: ${tensor}: shape: expected an array of non-negative integers, got ${show(shape)}`);
  }
  const [begin, end] = isSizes(offsets) ? offsets : [];
  if (!isSizes(offsets) || offsets.length !== 2 || begin === undefined || end === undefined || begin > end) {
    throw new FileError(
      `${name}: ${tensor}: data_offsets: expected [begin, end] with 0 <= begin <= end, got ${show(offsets)}`,
    );
  }
  // A product too large for a double to hold exactly is far beyond any span of offsets, so inexactness does no harm.
  const expected = shape.reduce((product, count) => product * count, size);
  if (end - begin !== expected) {
    throw new FileError(
      `${name}: ${tensor}: data_offsets: expected ${expected} bytes (${dtype} [${shape}]), got ${end - begin}`,
    );
  }
  return { name: tensor, dtype, shape, begin, end };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}

/** A short form of any JSON value for an error message. */
function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
