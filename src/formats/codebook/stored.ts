// Tables of codebooks as the kernels read them (assembly/codebook/README.md): whole numbers times a unit.
import type { FormatName } from "../../kernels/types.ts";
import { FLOAT32_NORMAL, FLOAT32_TINY } from "../../numeric/scale.ts";

export interface IntegerTable {
  readonly entries: readonly number[];
  /** What the scale is multiplied by. */
  readonly unit: number;
  /** Entries of 16 bits; otherwise they fit one byte, less the least of them. */
  readonly wide: boolean;
}

/** The largest range of byte entries: operand 2 of a relaxed dot product lies in 0..127. */
const BYTE_RANGE = 127;
export const LARGEST = 32767;

/**
 * What entries of 16 bits count, of a table whose largest magnitude is `most`: a 32767th of it. Where scale · unit, which is stored,
 * would be denormal, it is a whole number S of 2^-149 instead, for the largest scale. With q = scale · most / 2^-149, entries are then
 * rounded by S / 2 of 2^-149, and other scales by half of one, that of their largest entry by q / S / 2: so S is 1 where there is one
 * scale, and about √q otherwise, but large enough for entries of 16 bits.
 */
function wideUnit(most: number, scale: number, oneScale: boolean): number {
  const usual = most / LARGEST;
  const q = (scale * most) / FLOAT32_TINY;
  if (q === 0 || scale * usual >= FLOAT32_NORMAL) return usual;
  const steps = Math.max(oneScale ? 1 : Math.floor(Math.sqrt(q)), Math.ceil(q / LARGEST), 1);
  return (steps * FLOAT32_TINY) / scale;
}

function largestMagnitude(values: ArrayLike<number>): number {
  let most = 0;
  for (let i = 0; i < values.length; i++) most = Math.max(most, Math.abs(values[i] as number));
  return most;
}

/** Entries that are whole multiples of one number stay exact; others become multiples of `wideUnit`. */
export function integerTable(table: ArrayLike<number>, scales: Float32Array): IntegerTable {
  const values = Array.from(table);
  const most = largestMagnitude(values);
  if (most === 0) return { entries: values.map(() => 0), unit: 1, wide: false };
  const range = Math.max(...values) - Math.min(...values);
  for (let n = 1; (n * range) / most <= BYTE_RANGE; n++) {
    // v is a float32, so v · n is exact, and equal to whole · most only if v is that multiple.
    const entries = values.map((v) => Math.round((v * n) / most));
    if (values.every((v, i) => v * n === (entries[i] as number) * most)) {
      return { entries, unit: most / n, wide: false };
    }
  }
  const unit = wideUnit(most, largestMagnitude(scales), scales.length === 1);
  return { entries: values.map((v) => Math.round(v / unit)), unit, wide: true };
}

/** 16 bytes entry - least, then the least entry as int32; padded to 32 bytes. */
export function byteTable(entries: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(32);
  const least = Math.min(...entries);
  bytes.set(entries.map((entry) => entry - least));
  new DataView(bytes.buffer).setInt32(16, least, true);
  return bytes;
}

/** 16 low bytes, then 16 high bytes of int16 entries. */
export function int16Table(entries: ArrayLike<number>): Uint8Array {
  const bytes = new Uint8Array(32);
  for (let i = 0; i < entries.length; i++) {
    bytes[i] = (entries[i] as number) & 0xff;
    bytes[16 + i] = ((entries[i] as number) >> 8) & 0xff;
  }
  return bytes;
}

/** A table a row: [padded rows] times what int16Table gives, and the unit of each row; scales [1] or [rows]. */
export function rowTables(
  tables: ArrayLike<number>,
  rows: number,
  entries: number,
  scales: Float32Array,
): { readonly bytes: Uint8Array; readonly units: Float64Array } {
  const bytes = new Uint8Array(Math.ceil(rows / 16) * 16 * 32);
  const units = new Float64Array(rows);
  const line = new Int16Array(entries);
  for (let row = 0; row < rows; row++) {
    const own = Array.from({ length: entries }, (_, i) => tables[row * entries + i] as number);
    const most = largestMagnitude(own);
    const unit = wideUnit(most, Math.abs(scales[scales.length === 1 ? 0 : row] as number), true);
    units[row] = unit;
    line.set(own.map((v) => (most === 0 ? 0 : Math.round(v / unit))));
    bytes.set(int16Table(line), row * 32);
  }
  return { bytes, units };
}

/** An entry back from the stored tables. */
export function tableEntry(tables: Uint8Array, format: FormatName, code: number, row: number): number {
  const data = new DataView(tables.buffer, tables.byteOffset, tables.byteLength);
  if (!format.includes("_")) return (tables[code] as number) + data.getInt32(16, true);
  const at = (format.endsWith("_rows") ? 32 * row : 0) + code;
  return (((data.getUint8(at + 16) << 8) | data.getUint8(at)) << 16) >> 16;
}
