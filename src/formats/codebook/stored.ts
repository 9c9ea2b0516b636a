// Tables of codebooks as the kernels read them (assembly/codebook/README.md): whole numbers times a unit.
import type { FormatName } from "../../kernels/types.ts";

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

/** Entries that are whole multiples of one number stay exact; others become multiples of 1/32767 of the largest. */
export function integerTable(table: ArrayLike<number>): IntegerTable {
  const values = Array.from(table);
  const most = Math.max(...values.map(Math.abs));
  if (most === 0) return { entries: values.map(() => 0), unit: 1, wide: false };
  const range = Math.max(...values) - Math.min(...values);
  for (let n = 1; (n * range) / most <= BYTE_RANGE; n++) {
    // v is a float32, so v · n is exact, and equal to whole · most only if v is that multiple.
    const entries = values.map((v) => Math.round((v * n) / most));
    if (values.every((v, i) => v * n === (entries[i] as number) * most)) {
      return { entries, unit: most / n, wide: false };
    }
  }
  const unit = most / LARGEST;
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

/** A table a row: [padded rows] times what int16Table gives, and the unit of each row. */
export function rowTables(
  tables: ArrayLike<number>,
  rows: number,
  entries: number,
): { readonly bytes: Uint8Array; readonly units: Float32Array } {
  const bytes = new Uint8Array(Math.ceil(rows / 16) * 16 * 32);
  const units = new Float32Array(rows);
  const line = new Int16Array(entries);
  for (let row = 0; row < rows; row++) {
    let most = 0;
    for (let i = 0; i < entries; i++) most = Math.max(most, Math.abs(tables[row * entries + i] as number));
    const unit = most / LARGEST;
    units[row] = unit;
    for (let i = 0; i < entries; i++)
      line[i] = most === 0 ? 0 : Math.round((tables[row * entries + i] as number) / unit);
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
