// Checkpoints of BitNet b1.58 as Hugging Face's transformers packs them (integrations/bitnet.py, pack_weights): four blocks
// of rows in the four pairs of bits of a byte.
import { checkChoice, checkFinite, checkOptions, rangeError, typeError } from "../../lib/check.ts";
import type { FloatTensor } from "../../lib/floats.ts";
import type { Settled } from "../../lib/options.ts";
import { checkBytes, checkImportShape } from "../shared/tensors.ts";

/** The classes of transformers, `linear_class` of the configuration. */
export const BITNET_CLASSES = ["bitlinear", "autobitlinear"] as const;

export interface BitnetTensors {
  /** Outputs of the layer, four times those of the tensor unless the last block is short. */
  readonly rows: number;
  readonly cols: number;
  /**
   * uint8 [ceil(rows / 4), cols], `weight` of the checkpoint: bits 2i and 2i + 1 of byte [r, c] are w + 1 of row
   * i · ceil(rows / 4) + r, column c.
   */
  readonly packed?: Uint8Array | undefined;
  /** `packed` under the name that the checkpoint has for it. */
  readonly weight?: Uint8Array | undefined;
  /**
   * `weight_scale` as published, a number or [1] or [rows]. What it means is in the configuration alone: see `linearClass`.
   */
  readonly weightScale?: number | FloatTensor | undefined;
  /**
   * `linear_class` of the configuration: "bitlinear" (transformers' default, and the default here) divides by weightScale,
   * "autobitlinear" multiplies by it.
   */
  readonly linearClass?: (typeof BITNET_CLASSES)[number] | undefined;
  /** In place of weightScale: what codes are multiplied by, a number or [1] or [rows]. */
  readonly scales?: number | FloatTensor | undefined;
  /** `scales` under another name. */
  readonly scale?: number | FloatTensor | undefined;
}

/** Codes as `ternary.pack` takes them. */
export interface ImportedTernary {
  readonly rows: number;
  readonly cols: number;
  /** [rows, cols], -1, 0 and 1 */
  readonly codes: Int8Array;
  /** [1] or [rows] */
  readonly scales: Float32Array;
}

/**
 * @throws TypeError, RangeError for a wrong argument: a length that does not fit the shape, a code 3 (its row and column are
 * named), scales that are missing, twice there, or not finite
 */
export function importBitnet(where: string, tensors: Settled<BitnetTensors>): ImportedTernary {
  checkOptions(`${where}: tensors`, tensors);
  const { rows, cols } = checkImportShape(where, { rows: tensors.rows, cols: tensors.cols, groupSize: -1 });
  const quarter = Math.ceil(rows / 4);
  const name = tensors.packed === undefined && tensors.weight !== undefined ? "weight" : "packed";
  const packed = checkBytes(
    `${where}: ${name}`,
    tensors[name],
    quarter * cols,
    `${quarter} rows of four blocks x cols ${cols}`,
  );
  if (name === "packed" && tensors.weight !== undefined && !same(tensors.weight, packed)) {
    throw rangeError(`${where}: weight`, "packed or weight, which are one tensor", "two tensors");
  }
  const codes = new Int8Array(rows * cols);
  for (let row = 0; row < rows; row++) {
    const shift = 2 * Math.floor(row / quarter);
    const from = (row % quarter) * cols;
    for (let col = 0; col < cols; col++) {
      const code = ((packed[from + col] as number) >> shift) & 3;
      if (code === 3) throw rangeError(`${where}: ${name}`, "codes 0, 1 or 2", `3 at row ${row}, column ${col}`);
      codes[row * cols + col] = code - 1;
    }
  }
  return { rows, cols, codes, scales: scalesOf(where, rows, tensors) };
}

function scalesOf(where: string, rows: number, tensors: Settled<BitnetTensors>): Float32Array {
  const { weightScale, linearClass } = tensors;
  const given = (["scales", "scale"] as const).filter((name) => tensors[name] !== undefined);
  if (weightScale !== undefined) {
    if (given.length > 0) throw rangeError(`${where}: ${given[0]}`, `${given[0]} or weightScale`, "both");
    const kind = linearClass === undefined ? "bitlinear" : linearClass;
    checkChoice(`${where}: linearClass`, kind, BITNET_CLASSES);
    const scales = numbers(`${where}: weightScale`, rows, weightScale);
    if (kind === "autobitlinear") return scales;
    const divided = scales.map((scale) => 1 / scale);
    checkFinite(`${where}: weightScale`, divided, "numbers to divide by");
    return divided;
  }
  if (linearClass !== undefined) {
    throw rangeError(`${where}: linearClass`, "it together with weightScale, whose meaning it is", linearClass);
  }
  if (given.length === 0) throw typeError(`${where}: weightScale`, "a number or a Float32Array", weightScale);
  const [first, second] = given.map((name) => numbers(`${where}: ${name}`, rows, tensors[name]));
  if (second !== undefined && !same(second, first as Float32Array)) {
    throw rangeError(`${where}: scale`, "scales or scale, which are one tensor", "two tensors");
  }
  return first as Float32Array;
}

function same(a: ArrayLike<number>, b: ArrayLike<number>): boolean {
  return a.length === b.length && Array.prototype.every.call(a, (value, i) => value === b[i]);
}

function numbers(where: string, rows: number, value: unknown): Float32Array {
  const values = typeof value === "number" ? Float32Array.of(value) : value;
  if (!(values instanceof Float32Array)) throw typeError(where, "a number or a Float32Array", value);
  if (values.length !== 1 && values.length !== rows) {
    throw rangeError(where, `length 1 or ${rows} (rows ${rows})`, String(values.length));
  }
  checkFinite(where, values);
  return values;
}
