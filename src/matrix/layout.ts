import { STRIP_ROWS, TILE_ROWS } from "../kernels/types.ts";
import { makeParts, readRecord, recordBytes, recordValues, type ScaleRecords } from "./scale-records.ts";

/** Columns of a unit: every layout pads columns to whole units, and kernels count in them. */
export const UNIT_COLS = 8;

/**
 * Where things are in the stored bytes of a matrix: weights, then scales of each plane (scalePlace), offsets if there are
 * any (offsetPlace), and tables of a codebook.
 */
export interface Layout {
  /** Units of 8 columns, padding included. */
  readonly byteCols: number;
  readonly groupByteCols: number;
  readonly groups: number;
  readonly paddedRows: number;
  /** Rows whose scales of a group are neighbours. */
  readonly scaleRows: number;
  readonly weightBytes: number;
  /** Matrices of scales, one a plane. */
  readonly planes: number;
  readonly offsets: boolean;
  /** Scales are those of one tile: all rows share them. */
  readonly sharedScales: boolean;
  /** Scales are one a row: groups only keep sums within 32 bits. */
  readonly rowScales: boolean;
  /** In place of float32 scales and offsets: [strip][groups / groups of a record] records. */
  readonly records?: ScaleRecords | undefined;
  readonly tableBytes: number;
  readonly bytes: number;
}

export interface LayoutOptions {
  readonly rows: number;
  readonly cols: number;
  readonly groupSize: number;
  /** Columns that the layout keeps together: a group is a multiple of it. */
  readonly chunk: number;
  readonly bitsPerWeight: number;
  /** Rows whose scales of a group are neighbours (default TILE_ROWS). */
  readonly scaleRows?: number;
  readonly planes?: number;
  readonly offsets?: boolean;
  /** Not together with offsets. */
  readonly sharedScales?: boolean;
  /** Not together with offsets or sharedScales. */
  readonly rowScales?: boolean;
  readonly records?: ScaleRecords | undefined;
  readonly tableBytes?: number;
  /** Longest group whose sums fit int32; a longer one is stored as several with the same scale. */
  readonly maxGroup?: number;
}

export function makeLayout(options: LayoutOptions): Layout {
  const { rows, cols, chunk, bitsPerWeight, planes = 1, tableBytes = 0, maxGroup, records } = options;
  const offsets = records?.offsets ?? options.offsets ?? false;
  const { scaleRows = TILE_ROWS, sharedScales = false, rowScales = false } = options;
  const chunkUnits = chunk / UNIT_COLS;
  const byteCols = Math.ceil(cols / chunk) * chunkUnits;
  const groupByteCols = Math.min(byteCols, chunkUnits * groupChunks(options.groupSize, cols, chunk, maxGroup));
  const groups = Math.ceil(byteCols / groupByteCols);
  const paddedRows = Math.ceil(rows / STRIP_ROWS) * STRIP_ROWS;
  const weightBytes = paddedRows * byteCols * bitsPerWeight;
  const rowsOfScales = sharedScales ? TILE_ROWS : paddedRows;
  const scaleBytes = records
    ? (paddedRows / STRIP_ROWS) * (groups / records.groups) * recordBytes(records)
    : rowsOfScales * (rowScales ? 1 : groups) * 4 * (planes + (offsets ? 1 : 0));
  const bytes = weightBytes + scaleBytes + tableBytes;
  return {
    byteCols,
    groupByteCols,
    groups,
    paddedRows,
    scaleRows,
    weightBytes,
    planes,
    offsets,
    sharedScales,
    rowScales,
    records,
    tableBytes,
    bytes,
  };
}

// Chunks of a stored group: those of a given one, or the most that divide them and stay within maxGroup columns.
function groupChunks(groupSize: number, cols: number, chunk: number, maxGroup = groupSize): number {
  const chunks = Math.ceil(groupSize / chunk);
  const most = Math.floor(maxGroup / chunk);
  if (groupSize <= maxGroup) return chunks;
  if (groupSize >= cols) return most;
  let largest = most;
  while (chunks % largest !== 0) largest--;
  return largest;
}

/**
 * Where the scale of a group of a row is among those of its plane: float32 [tile of scaleRows rows][groups][rows of the
 * tile], so that a kernel reads them in order (assembly/lib/layout.ts).
 */
export function scalePlace(row: number, group: number, layout: Layout): number {
  if (layout.rowScales) return row;
  if (layout.sharedScales) return group * TILE_ROWS + (row % TILE_ROWS);
  return placeIn(row, group, layout, layout.scaleRows);
}

/** The same of an offset: float32 [strip][groups][16 rows] in every format. */
export function offsetPlace(row: number, group: number, layout: Layout): number {
  return placeIn(row, group, layout, STRIP_ROWS);
}

function placeIn(row: number, group: number, { groups, paddedRows }: Layout, tileRows: number): number {
  const tile = row - (row % tileRows);
  return tile * groups + group * Math.min(tileRows, paddedRows - tile) + (row - tile);
}

/** Floats of the scales of a plane. */
export function scaleFloats({ groups, paddedRows, sharedScales, rowScales }: Layout): number {
  return (rowScales ? 1 : groups) * (sharedScales ? TILE_ROWS : paddedRows);
}

/** Offset of the scales of the first plane, in bytes; those of plane p follow at p · scaleFloats · 4. */
export function scalesAt(layout: Layout): number {
  return layout.weightBytes;
}

export function offsetsAt(layout: Layout): number {
  return layout.weightBytes + layout.planes * scaleFloats(layout) * 4;
}

export function tablesAt(layout: Layout): number {
  return layout.bytes - layout.tableBytes;
}

/**
 * Writes scales or offsets in the order of the kernels.
 * @param place scalePlace or offsetPlace
 * @param floats those of a plane, of the stored bytes
 * @param values [1], [rows] or [rows, ceil(cols / groupSize)]; shared scales: [1] or [ceil(cols / groupSize)]
 */
export function writeGroupValues(
  place: typeof scalePlace,
  floats: Float32Array,
  values: Float32Array,
  rows: number,
  groupSize: number,
  layout: Layout,
): void {
  const { groups, groupByteCols } = layout;
  const given = values.length / rows; // groups that were given, of which a stored one may be a part
  if (layout.sharedScales) {
    for (let i = 0; i < floats.length; i++) floats[i] = values[Math.floor(i / TILE_ROWS) % values.length] as number;
    return;
  }
  floats.fill(0);
  for (let group = 0; group < groups; group++) {
    const from = given > 1 ? Math.floor((group * groupByteCols * UNIT_COLS) / groupSize) : 0;
    for (let row = 0; row < rows; row++) {
      floats[place(row, group, layout)] = (given < 1 ? values[0] : values[row * given + from]) as number;
    }
  }
}

/**
 * The other way, for one row: out[col] = scale · out[col] + offset. One plane.
 * @param floats the stored bytes as float32
 */
export function readGroupValues(floats: Float32Array, row: number, layout: Layout, out: Float32Array): void {
  const groupCols = layout.groupByteCols * UNIT_COLS;
  if (layout.records) {
    const { scales, offsets } = rowValues(floats, row, layout, layout.records);
    for (let col = 0; col < out.length; col++) {
      const group = Math.floor(col / groupCols);
      const scaled = (scales[group] as number) * (out[col] as number);
      out[col] = layout.offsets ? scaled + (offsets[group] as number) : scaled;
    }
    return;
  }
  for (let col = 0; col < out.length; col++) {
    const group = Math.floor(col / groupCols);
    const scale = floats[scalesAt(layout) / 4 + scalePlace(row, group, layout)] as number;
    const scaled = scale * (out[col] as number);
    // Nothing is added where there is no offset: -0 + 0 would be 0.
    out[col] = layout.offsets
      ? scaled + (floats[offsetsAt(layout) / 4 + offsetPlace(row, group, layout)] as number)
      : scaled;
  }
}

// The scales and offsets of a row that are kept in records.
function rowValues(
  floats: Float32Array,
  row: number,
  layout: Layout,
  records: ScaleRecords,
): { readonly scales: Float32Array; readonly offsets: Float32Array } {
  const { groups } = layout;
  const bytes = new Uint8Array(floats.buffer, floats.byteOffset, floats.byteLength);
  const scales = new Float32Array(groups);
  const offsets = new Float32Array(groups);
  const parts = makeParts();
  const each = recordBytes(records);
  const strip = (row - (row % STRIP_ROWS)) / STRIP_ROWS;
  let at = scalesAt(layout) + strip * (groups / records.groups) * each;
  for (let group = 0; group < groups; group += records.groups, at += each) {
    readRecord(bytes, at, row % STRIP_ROWS, records, parts);
    recordValues(records, parts, scales, offsets, group);
  }
  return { scales, offsets };
}
