// Floating-point tensors as checkpoints have them. Sixteen bits alone do not say whether they are float16 or bfloat16, and
// read as the other kind they are finite and wrong by a lot: so nothing guesses, and a bare Uint16Array is refused.
import { bytesOf, copyView, type Float16ArrayLike, isGone, isSharedView, kindOf, ownView } from "./arrays.ts";
import { describe, rangeError, typeError } from "./check.ts";
import { bfloat16ToFloat, halfToFloat } from "./half.ts";

/** Numbers whose type has a name: `data` are their bits, or their bytes, little-endian. */
export interface NamedFloats {
  readonly dtype: "float32" | "float16" | "bfloat16";
  readonly data: Float32Array | Float16ArrayLike | Uint16Array | Int16Array | Uint8Array | DataView;
}

/** Numbers that become float32: as they are, as a Float16Array where the runtime has one, or with their type named. */
export type FloatTensor = Float32Array | Float16ArrayLike | NamedFloats;

/** Complex numbers re[k] + i · im[k]: two tensors of the same length. */
export interface ComplexTensor {
  readonly re: FloatTensor;
  readonly im: FloatTensor;
}

const DTYPES = ["float32", "float16", "bfloat16"] as const;

/** What `data` may be, by dtype: the type itself, its bits, or its bytes. */
const KINDS: Readonly<Record<NamedFloats["dtype"], readonly string[]>> = {
  float32: ["Float32Array"],
  float16: ["Float16Array", "Uint16Array", "Int16Array"],
  bfloat16: ["Uint16Array", "Int16Array"],
};
const BYTES = ["Uint8Array", "DataView"];

/**
 * The numbers of { dtype, data }.
 *
 * @throws TypeError for data of another type; RangeError for a dtype that is none, and for half a number
 */
export function namedFloats(where: string, named: Readonly<Record<"dtype" | "data", unknown>>): Float32Array {
  const { dtype, values } = namedBits(where, named);
  if (values instanceof Float32Array) return values;
  return dtype === "float16" ? halfToFloat(where, values) : bfloat16ToFloat(where, values);
}

/** Numbers as they are stored: a Float32Array, or the bits of 16-bit ones. */
export interface StoredFloats {
  readonly dtype: NamedFloats["dtype"];
  readonly values: Float32Array | Uint16Array;
}

/** As `namedFloats`, without conversion. */
function namedBits(where: string, { dtype, data }: Readonly<Record<"dtype" | "data", unknown>>): StoredFloats {
  const name = DTYPES.find((one) => one === dtype);
  const names = DTYPES.map((one) => `"${one}"`).join(" | ");
  if (typeof dtype !== "string") throw typeError(`${where}: dtype`, names, dtype);
  if (name === undefined) throw rangeError(`${where}: dtype`, names, describe(dtype));
  const kinds = [...KINDS[name], ...BYTES];
  const kind = kindOf(data);
  if (kind === undefined || !kinds.includes(kind) || isGone(data as ArrayBufferView)) {
    throw typeError(`${where}: data`, `${name} as a ${kinds.join(", ")}`, data);
  }
  // A copy: aligned, and of this thread alone.
  const { buffer } = new Uint8Array(bytesOf(data as ArrayBufferView));
  const size = name === "float32" ? 4 : 2;
  if (buffer.byteLength % size !== 0)
    throw rangeError(`${where}: data`, `whole numbers of ${size} bytes`, `${buffer.byteLength} bytes`);
  return { dtype: name, values: name === "float32" ? new Float32Array(buffer) : new Uint16Array(buffer) };
}

const float16Bits = (array: ArrayBufferView): Uint16Array => new Uint16Array(new Uint8Array(bytesOf(array)).buffer);

/** The numbers of a Float16Array, whose memory must not be gone. */
export function float16Floats(where: string, array: ArrayBufferView): Float32Array {
  return halfToFloat(where, float16Bits(array));
}

/**
 * Numbers with the type that they come with: of a Float32Array, of a Float16Array, or { dtype, data }; undefined for anything else.
 *
 * @throws as namedFloats
 */
export function storedFloats(where: string, value: unknown): StoredFloats | undefined {
  const kind = kindOf(value);
  if (kind === "Float32Array" || kind === "Float16Array") {
    if (isGone(value as ArrayBufferView)) throw typeError(where, "an array", value);
    if (kind === "Float16Array") return { dtype: "float16", values: float16Bits(value as ArrayBufferView) };
    const view = value as Float32Array;
    return { dtype: "float32", values: (isSharedView(view) ? copyView(view) : ownView(view)) as Float32Array };
  }
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value) || !("dtype" in value)) return undefined;
  return namedBits(where, { dtype: value.dtype, data: Reflect.get(value, "data") });
}
