// Blocks to codes and records in linear memory, a strip of 16 rows at a time: by kernels (assembly/pack/) where a table says what is
// where in a block, else by the readers of blocks.ts.
import type { CodeWriter, StripWriter } from "../../formats/shared/words.ts";
import { STRIP_ROWS } from "../../kernels/types.ts";
import type { Writer } from "../../matrix/make.ts";
import { makeParts, recordBytes, type ScaleRecords, writeRecord } from "../../matrix/scale-records.ts";
import type { GgmlType } from "../ggml-types.ts";
import { type Blocks, codeReader, type Places, partsReader } from "./blocks.ts";

/** Rows of blocks. */
export interface BlockRows {
  readonly data: Uint8Array;
  readonly type: GgmlType;
  readonly known: Blocks;
  readonly rows: number;
  readonly perRow: number;
}

/** Codes row by row. */
export function rowWriter({ data, type, known, perRow }: BlockRows): CodeWriter {
  const read = codeReader(known.codes, type.columns);
  return (row, out) => {
    for (let block = 0; block < perRow; block++) {
      read(data, (row * perRow + block) * type.bytes, out, block * type.columns);
    }
  };
}

/**
 * Codes a strip at a time; undefined where blocks are read one by one.
 *
 * @param from address of bytesOfStrip(blocks) bytes that the kernels may use
 */
export function stripWriter({ data, type, known, perRow }: BlockRows, from: number): StripWriter | undefined {
  if (typeof known.codes === "function") return undefined;
  const { low, high, flip = 0, more = 0 } = known.codes;
  const rowBytes = perRow * type.bytes;
  const above = high ?? { at: 0, bits: 0, apart: 0, shift: 0 };
  return ({ arena, exports }, first, rows, to, stride) => {
    arena.bytes.set(data.subarray(first * rowBytes, (first + rows) * rowBytes), from);
    exports.unpack_fields(
      from,
      to,
      stride,
      rows,
      perRow,
      type.bytes,
      type.columns,
      low.at,
      low.bits,
      low.apart,
      above.at,
      above.bits,
      above.apart,
      above.shift,
      flip,
      more,
    );
  };
}

/** The records of all strips. @param from as above */
export function recordWriter(blocks: BlockRows, from: number): Writer {
  const { data, type, known, rows, perRow } = blocks;
  const { parts, records } = known;
  const each = recordBytes(records);
  if (typeof parts === "function") {
    const read = partsReader(parts, records);
    const one = makeParts();
    return (bytes) => {
      for (let block = 0; block < rows * perRow; block++) {
        read(data, block * type.bytes, one);
        const row = Math.floor(block / perRow);
        const strip = (row - (row % STRIP_ROWS)) / STRIP_ROWS;
        writeRecord(bytes, (strip * perRow + (block % perRow)) * each, row % STRIP_ROWS, records, one);
      }
    };
  }
  const rowBytes = perRow * type.bytes;
  const pieces = piecesOf(parts, records);
  return (_, __, { engine, address }) => {
    const { arena, exports } = engine;
    for (let first = 0; first < rows; first += STRIP_ROWS) {
      const n = Math.min(STRIP_ROWS, rows - first);
      arena.bytes.set(data.subarray(first * rowBytes, (first + n) * rowBytes), from);
      const to = address + (first / STRIP_ROWS) * perRow * each;
      for (const { place, items, size, at } of pieces) {
        if (size === 12) exports.gather_sixes(from, to + at, n, perRow, type.bytes, place, each);
        else exports.gather_records(from, to + at, n, perRow, type.bytes, place, items, size, each);
      }
    }
  };
}

interface Piece {
  readonly place: number;
  readonly items: number;
  /** Bytes of an item; 12: scales and minima of 6 bits. */
  readonly size: 1 | 2 | 12;
  /** Where it begins in a record. */
  readonly at: number;
}

// A record has d, m and the bytes, in this order (matrix/scale-records.ts).
function piecesOf({ d, m, bytes, sixes }: Places, { groups }: ScaleRecords): Piece[] {
  const pieces: Piece[] = [];
  let at = 0;
  for (const place of [d, m]) {
    if (place === undefined) continue;
    pieces.push({ place, items: 1, size: 2, at });
    at += 2 * STRIP_ROWS;
  }
  if (bytes !== undefined) pieces.push({ place: bytes, items: groups, size: 1, at });
  if (sixes !== undefined) pieces.push({ place: sixes, items: groups, size: 12, at });
  return pieces;
}

/** Bytes of the rows of a strip. */
export function bytesOfStrip({ type, perRow }: BlockRows): number {
  return STRIP_ROWS * perRow * type.bytes;
}
