// Scales as files have them: halves, bytes of E8M0 or E4M3, or a half and small whole numbers that it is multiplied by. Kernels read
// float32, which expand_scales makes for a few rows at a time (assembly/dot/scales.ts; assembly/dot/README.md draws the records).
import { STRIP_ROWS } from "../kernels/types.ts";
import { e4m3Value, halfValue } from "../lib/half.ts";

/** The numbers of assembly/dot/scales.ts. */
export const RECORD_KINDS = { halves: 0, e8m0: 1, e4m3: 2, bytes: 3, nibbles: 4 } as const;

export interface ScaleRecords {
  /**
   * - "halves": the scale, and the offset;
   * - "e8m0": half of the published scale 2^(e - 127), of 255 too;
   * - "e4m3": half of it, without its sign, and 0 for 127;
   * - "bytes", "nibbles": d times int8, or 4 bits, a group; offsets are minus m times the same.
   */
  readonly kind: keyof typeof RECORD_KINDS;
  /** Groups of a record. */
  readonly groups: number;
  /** A power of two, or minus one, that every scale is multiplied by. */
  readonly factor: number;
  readonly offsets: boolean;
}

/** A record of one row. */
export interface Parts {
  /** Bits of the halves. */
  d: number;
  m: number;
  /** A byte a group: what d is multiplied by, or the scale itself; what m is multiplied by. */
  readonly s: Uint8Array;
  readonly o: Uint8Array;
}

export function makeParts(): Parts {
  return { d: 0, m: 0, s: new Uint8Array(16), o: new Uint8Array(16) };
}

/** Bytes of a record of a strip of 16 rows. */
export function recordBytes({ kind, groups, offsets }: ScaleRecords): number {
  const heads = kind === "e8m0" || kind === "e4m3" ? 0 : offsets ? 4 : 2;
  const each = kind === "halves" ? 0 : kind === "bytes" && offsets ? 2 : 1;
  return STRIP_ROWS * (heads + each * groups);
}

/** Writes the record of a row; `at` is where that of its strip begins. */
export function writeRecord(bytes: Uint8Array, at: number, row: number, records: ScaleRecords, parts: Parts): void {
  const { kind, groups, offsets } = records;
  let to = at;
  for (const bits of kind === "e8m0" || kind === "e4m3" ? [] : offsets ? [parts.d, parts.m] : [parts.d]) {
    bytes[to + 2 * row] = bits & 255;
    bytes[to + 2 * row + 1] = bits >> 8;
    to += 2 * STRIP_ROWS;
  }
  if (kind === "halves") return;
  for (let g = 0; g < groups; g++, to += STRIP_ROWS) {
    const s = parts.s[g] as number;
    const o = parts.o[g] as number;
    bytes[to + row] = kind === "nibbles" && offsets ? s | (o << 4) : s;
    if (kind !== "bytes" || !offsets) continue;
    to += STRIP_ROWS;
    bytes[to + row] = o;
  }
}

/** The other way. */
export function readRecord(bytes: Uint8Array, at: number, row: number, records: ScaleRecords, parts: Parts): void {
  const { kind, groups, offsets } = records;
  let from = at;
  const half = (): number => {
    const bits = (bytes[from + 2 * row] as number) | ((bytes[from + 2 * row + 1] as number) << 8);
    from += 2 * STRIP_ROWS;
    return bits;
  };
  if (kind !== "e8m0" && kind !== "e4m3") {
    parts.d = half();
    if (offsets) parts.m = half();
  }
  if (kind === "halves") return;
  for (let g = 0; g < groups; g++, from += STRIP_ROWS) {
    const byte = bytes[from + row] as number;
    parts.s[g] = kind === "nibbles" ? byte & 15 : byte;
    if (!offsets) continue;
    if (kind === "bytes") from += STRIP_ROWS;
    parts.o[g] = kind === "bytes" ? (bytes[from + row] as number) : byte >> 4;
  }
}

/** Scales and offsets of a record, from index `to` on. */
export function recordValues(
  { kind, groups, factor, offsets: shifted }: ScaleRecords,
  parts: Parts,
  scales: Float32Array,
  offsets: Float32Array,
  to: number,
): void {
  const d = halfValue(parts.d) * factor;
  const m = shifted ? halfValue(parts.m) : 0;
  for (let g = 0; g < groups; g++) {
    const s = parts.s[g] as number;
    const o = parts.o[g] as number;
    if (kind === "halves") scales[to + g] = d;
    else if (kind === "e8m0") scales[to + g] = 2 ** (s - 128);
    else if (kind === "e4m3") scales[to + g] = s === 127 ? 0 : (s & 127) === 127 ? 240 : e4m3Value(s & 127) / 2;
    else scales[to + g] = d * ((s << 24) >> 24);
    if (shifted) offsets[to + g] = kind === "halves" ? m : -(m * ((o << 24) >> 24));
  }
}
