// From a record and bytes to a matrix: what a record says is checked before memory is allocated, bytes are copied as they are,
// and what kernels rely on is checked before the matrix is made.
import { formatOf } from "../kernels/formats.ts";
import { kernels } from "../kernels/registry.ts";
import { ACTIVATIONS, type Activation, type Format, type FormatName, STRIP_ROWS, TILE_ROWS } from "../kernels/types.ts";
import { checkChoice, checkFinite, checkInteger, MAX_COLS, MAX_ROWS, rangeError } from "../lib/check.ts";
import type { Engine } from "../runtime/engine.ts";
import { type SharedTable, shareTable } from "../runtime/tables.ts";
import { measure, type StepRecord } from "../transforms/step-record.ts";
import { Plan, stepWith } from "../transforms/steps.ts";
import { checkTypesArgument } from "./bits.ts";
import { type BranchLayout, checkRegion, recordedLayout } from "./branch-bytes.ts";
import { HalvesMatrix } from "./complex.ts";
import { isLarge } from "./finite.ts";
import { type Layout, scalesAt, tablesAt, UNIT_COLS } from "./layout.ts";
import { formatLayout } from "./make.ts";
import { PackedMatrix } from "./packed.ts";
import { PackedCore } from "./packed-core.ts";
import { type BranchesRecord, type MatrixRecord, type PackedRecord, type RotatedRecord, rounded } from "./record.ts";
import { type Inner, rotatedAt } from "./rotated.ts";
import { RECORD_KINDS, recordBytes, type ScaleRecords } from "./scale-records.ts";
import { Side } from "./side.ts";
import { conjugateOf, type MatrixSpec, type Reader, type Stored } from "./spec.ts";
import { wordsOf } from "./words.ts";

/** What the stored bytes of a format of the registry mean. */
export interface StoredFormat {
  readonly reader: Reader;
  /** Bytes of the tables that one with this layout has; how many, where that is a matter of what they are. Default: none. */
  readonly tables?: (layout: Layout) => number | readonly number[];
  /** Refuses tables that kernels do not take. @throws RangeError */
  readonly checkTables?: (where: string, tables: Uint8Array, stored: Stored) => void;
  /** The table that matrices share. @throws RangeError where there is none */
  readonly shared?: (where: string, record: PackedRecord) => Uint8Array;
}

export type StoredFormats = Readonly<Record<FormatName, StoredFormat>>;

/** A matrix whose record is in order. */
export interface Restoring<M = PackedMatrix | HalvesMatrix> {
  /** Of its record in the file. */
  readonly bytes: number;
  /** Bytes of linear memory that it takes, each region rounded up to what is allocated together. */
  readonly memory: number;
  /** @throws OutOfMemoryError; nothing is allocated then */
  allocate(engine: Engine): Room<M>;
}

/** Memory that is to be filled. */
export interface Room<M = PackedMatrix | HalvesMatrix> {
  /** Where the bytes of the file go, in its order: whole multiples of 64 bytes. */
  readonly regions: readonly RoomRegion[];
  /**
   * The matrix, once all is filled. It takes the memory over; if this throws, `release` is still to be called.
   * @throws RangeError for bytes that are not what the record says
   */
  finish(): M;
  /** Gives back what no matrix has taken over. */
  release(): void;
}

export type RoomRegion = { readonly address: number; readonly bytes: number } | Uint8Array;

/** Matrices within matrices. */
const DEEPEST = 4;

/**
 * @param activation in place of the record's, where the same bytes serve both
 * @throws TypeError, RangeError for a record that contradicts itself, or of a format that is not among `formats`
 */
export function restoring(
  where: string,
  record: MatrixRecord,
  formats: StoredFormats,
  activation: Activation | undefined,
): Restoring {
  const parts = partsOf(where, record, formats, activation, 0);
  return {
    bytes: parts.bytes,
    memory: parts.memory,
    allocate(engine) {
      const room = parts.allocate(engine);
      const { finish } = room;
      if (!("format" in record) || record.halves !== true) return room;
      const conjugate = conjugateOf(record.complex?.kinds ?? 0, 0);
      return { ...room, finish: () => new HalvesMatrix(finish(), conjugate) };
    },
  };
}

interface Parts extends Restoring<PackedMatrix> {
  readonly rows: number;
  readonly cols: number;
}

function partsOf(
  where: string,
  record: MatrixRecord,
  formats: StoredFormats,
  activation: Activation | undefined,
  depth: number,
): Parts {
  checkInteger(`${where}: rows`, record.rows, 1, MAX_ROWS);
  checkInteger(`${where}: cols`, record.cols, 1, MAX_COLS);
  if ("format" in record) return packedParts(where, record, formats, activation, depth);
  if (depth === DEEPEST) throw rangeError(`${where}: inners`, `matrices ${DEEPEST} deep at most`, "more");
  return rotatedParts(where, record, formats, activation, depth);
}

function packedParts(
  where: string,
  record: PackedRecord,
  formats: StoredFormats,
  activation: Activation | undefined,
  depth: number,
): Parts {
  const { rows, cols, complex, types, pulses } = record;
  if (!Object.hasOwn(formats, record.format)) {
    throw rangeError(`${where}: format`, "one that this version of lowbit knows", JSON.stringify(record.format));
  }
  const format = record.format as FormatName;
  const contract = activationOf(where, format, record.activation, activation);
  const row = formatOf(format, contract);
  const known = formats[format];
  checkKind(where, record, row, depth);
  const half = complex ? 2 : 1;
  const layout = layoutOf(where, record, row, { rows: rows / half, cols: cols / half });
  checkTableBytes(`${where}: tables`, layout, known);
  const table = known.shared?.(where, record);
  const branches = branchesOf(where, record, complex !== undefined);
  const orderBytes = record.order ? 4 * cols : 0;
  return {
    rows,
    cols,
    bytes: rounded(layout.bytes) + rounded(orderBytes) + rounded(branches?.bytes ?? 0),
    memory: rounded(layout.bytes) + rounded(branches?.bytes ?? 0) + rounded(table?.length ?? 0),
    allocate: (engine) =>
      allocated(engine, [layout.bytes, branches?.bytes], ([address, sideAt]) => {
        const order = new Uint8Array(rounded(orderBytes));
        let shared: SharedTable | undefined;
        return {
          regions: [
            ...regionOf(address, layout.bytes),
            ...(orderBytes > 0 ? [order] : []),
            ...regionOf(sideAt, branches?.bytes),
          ],
          finish: () => {
            const stored: Stored = { format, rows, cols, activation: contract, layout, types, complex, pulses };
            const spec: Omit<MatrixSpec, "shared"> = {
              ...stored,
              label: record.label,
              columnOrder: record.order ? columnOrder(where, order, cols) : undefined,
              readRow: known.reader(stored),
            };
            checkBytes(where, engine, spec, row, known, address as number);
            const side = sideOf(where, engine, sideAt, branches);
            shared = table && shareTable(engine, table);
            return new PackedMatrix(new PackedCore(engine, { ...spec, shared }, address as number, side));
          },
          release: () => shared?.release(),
        };
      }),
  };
}

/** The contract asked for, unless the format has but one. */
function activationOf(where: string, format: FormatName, recorded: Activation, asked = recorded): Activation {
  const possible = contractsOf(format);
  checkChoice(`${where}: activation`, recorded, possible);
  if (possible.length === 1) return recorded;
  const same = possible.filter((one) => formatOf(format, one) === formatOf(format, recorded));
  return checkChoice(`${where}: activation`, asked, same);
}

function contractsOf(format: FormatName): readonly Activation[] {
  return ACTIVATIONS.filter((one) => kernels.some((k) => k.format === format && k.activation === one));
}

/** Whether the bytes of a record serve a contract as they serve the one that they were made for, or its format has but one. */
export function serves(record: MatrixRecord, formats: StoredFormats, asked: Activation): boolean {
  if (!("format" in record)) return record.inners.every(({ matrix }) => serves(matrix, formats, asked));
  if (!Object.hasOwn(formats, record.format)) return true;
  const format = record.format as FormatName;
  const possible = contractsOf(format);
  if (possible.length === 1) return true;
  return possible.includes(asked) && formatOf(format, asked) === formatOf(format, record.activation);
}

/** What a record may have besides, by its format. */
function checkKind(where: string, record: PackedRecord, { layout, bits }: Format, depth: number): void {
  const { format, rows, cols, planes, records, complex, types, pulses, halves, sharedScales } = record;
  const refuse = (name: string, expected: string, got: unknown): never => {
    throw rangeError(`${where}: ${name}`, expected, got);
  };
  const isComplex = format === "complex";
  if ((complex !== undefined) !== isComplex) refuse("complex", isComplex ? "kinds of planes" : "none", complex);
  if ((types !== undefined) !== (layout === "bits")) refuse("types", layout === "bits" ? "types" : "none", types);
  if (types !== undefined) checkTypesArgument(`${where}: types`, types);
  if (pulses !== undefined && !format.startsWith("pvq")) refuse("pulses", "none", pulses);
  if (sharedScales && !isComplex && format !== "glvq") refuse("sharedScales", "scales of rows", true);
  if (halves && (!isComplex || planes !== 2 || depth > 0 || record.branches)) {
    refuse("halves", "one complex plane without branches", format);
  }
  const many = layout === "planes" && bits === 1 && (isComplex || format === "bcq");
  const [least, most] = layout === "floats" || records ? [0, 0] : isComplex ? [2, 16] : [1, many ? 8 : 1];
  checkInteger(`${where}: planes`, planes, least, most);
  if (complex) {
    if (planes % 2 !== 0) refuse("planes", "an even number", planes);
    if (rows % 2 !== 0 || cols % 2 !== 0) refuse("rows", "even rows and columns", `${rows} x ${cols}`);
    checkInteger(`${where}: complex.kinds`, complex.kinds, 0, 2 ** planes - 1);
    for (let i = 0; i < planes / 2; i++) {
      if (((complex.kinds >> (2 * i)) & 3) === 3) refuse("complex.kinds", "0, 1 or 2 a plane", complex.kinds);
    }
  }
  if (records) checkRecords(`${where}: records`, record, records, layout);
  else if (record.offsets && (layout === "floats" || layout === "lattice" || sharedScales || isComplex)) {
    refuse("offsets", "none", true);
  }
}

/** What scales of records may be multiplied by, but for the sign: 2^-16 to 2^16. */
const POWERS: readonly number[] = /* @__PURE__ */ Array.from({ length: 33 }, (_, i) => 2 ** (i - 16));

function checkRecords(where: string, { offsets = false }: PackedRecord, records: ScaleRecords, layout: string): void {
  const { kind, groups, factor } = records;
  checkChoice(`${where}: kind`, kind, Object.keys(RECORD_KINDS) as (keyof typeof RECORD_KINDS)[]);
  checkInteger(`${where}: groups`, groups, 1, 16);
  if (layout !== "words") throw rangeError(where, "records of a format of words", layout);
  if (records.offsets !== offsets) throw rangeError(`${where}: offsets`, String(offsets), String(records.offsets));
  if (offsets && (kind === "e8m0" || kind === "e4m3")) throw rangeError(`${where}: offsets`, "none", kind);
  if (!POWERS.includes(Math.abs(factor))) throw rangeError(`${where}: factor`, "a power of two", factor);
}

function layoutOf(
  where: string,
  record: PackedRecord,
  row: Format,
  { rows, cols }: { readonly rows: number; readonly cols: number },
): Layout {
  const { group, planes, records, offsets = false, sharedScales = false, tables = 0, types } = record;
  checkInteger(`${where}: group`, group, row.chunk, Math.ceil(cols / row.chunk) * row.chunk);
  const shape = { rows, cols, groupSize: group, planes, records, offsets, sharedScales, tableBytes: tables, types };
  const layout = formatLayout(row, shape);
  if (layout.groupByteCols * UNIT_COLS !== group) {
    throw rangeError(`${where}: group`, `a group that is stored whole (${layout.groupByteCols * UNIT_COLS})`, group);
  }
  if (records && layout.groups % records.groups !== 0) {
    throw rangeError(`${where}: records.groups`, `a divisor of ${layout.groups} groups`, records.groups);
  }
  return layout;
}

function checkTableBytes(where: string, layout: Layout, { tables }: StoredFormat): void {
  const possible = tables?.(layout) ?? 0;
  const sizes = typeof possible === "number" ? [possible] : possible;
  if (!sizes.includes(layout.tableBytes)) throw rangeError(where, `${sizes.join(" or ")} bytes`, layout.tableBytes);
}

interface RecordedBranches {
  readonly layout: BranchLayout;
  readonly bytes: number;
}

function branchesOf(
  where: string,
  {
    rows,
    cols,
    branches,
  }: { readonly rows: number; readonly cols: number; readonly branches?: BranchesRecord | undefined },
  none = false,
): RecordedBranches | undefined {
  if (branches === undefined) return undefined;
  const at = `${where}: branches`;
  const { bias = false, colScale = false, rank = 0, sparse = false, bytes } = branches;
  checkInteger(`${at}: rank`, rank, 0, MAX_ROWS);
  checkInteger(`${at}: bytes`, bytes, 16, 2 ** 32);
  if (none && branches.colScale) throw rangeError(at, "no scales of columns that are complex", "some");
  if (!bias && !colScale && rank === 0 && !sparse) throw rangeError(at, "one at least", "none");
  const layout = recordedLayout(branches, rows, cols);
  if (layout.bytes !== bytes) throw rangeError(`${at}: bytes`, `${layout.bytes}`, `${bytes}`);
  return { layout, bytes };
}

function rotatedParts(
  where: string,
  record: RotatedRecord,
  formats: StoredFormats,
  activation: Activation | undefined,
  depth: number,
): Parts {
  const { label, rows, cols, pre, post } = record;
  checkInteger(`${where}: inners: length`, record.inners.length, 1, 16);
  const inners = record.inners.map(({ matrix, factor }, i) => {
    if (factor !== undefined && !Number.isFinite(factor)) {
      throw rangeError(`${where}: inners[${i}]: factor`, "a finite number", factor);
    }
    return { parts: partsOf(`${where}: inners[${i}]`, matrix, formats, activation, depth + 1), factor };
  });
  const { rows: innerRows, cols: innerCols } = (inners[0] as (typeof inners)[number]).parts;
  for (const { parts } of inners) {
    if (parts.rows === innerRows && parts.cols === innerCols) continue;
    throw rangeError(`${where}: inners`, `${innerRows} x ${innerCols}`, `${parts.rows} x ${parts.cols}`);
  }
  const preBytes = chainBytes(`${where}: pre`, pre, cols, innerCols);
  const postBytes = chainBytes(`${where}: post`, post, innerRows, rows);
  const numberBytes = preBytes + postBytes;
  const branches = branchesOf(where, record);
  const sum = (of: (parts: Parts) => number): number => inners.reduce((total, { parts }) => total + of(parts), 0);
  return {
    rows,
    cols,
    bytes: sum(({ bytes }) => bytes) + numberBytes + rounded(branches?.bytes ?? 0),
    memory: sum(({ memory }) => memory) + rounded(numberBytes) + rounded(branches?.bytes ?? 0),
    allocate: (engine) =>
      allocated(engine, [numberBytes, branches?.bytes], ([numbersAt, sideAt]) => {
        const rooms: Room<PackedMatrix>[] = [];
        const release = (): void => {
          for (const room of rooms) room.release();
        };
        try {
          for (const { parts } of inners) rooms.push(parts.allocate(engine));
        } catch (error) {
          release();
          throw error;
        }
        return {
          regions: [
            ...rooms.flatMap((room) => room.regions),
            ...regionOf(numbersAt, numberBytes),
            ...regionOf(sideAt, branches?.bytes),
          ],
          finish: () => {
            const address = numbersAt ?? 0;
            const before = plan(`${where}: pre`, engine, pre, address, cols, innerCols);
            const after = plan(`${where}: post`, engine, post, address + preBytes, innerRows, rows);
            const side = sideOf(where, engine, sideAt, branches);
            const made: Inner[] = [];
            try {
              for (const [i, room] of rooms.entries()) {
                const { factor } = inners[i] as (typeof inners)[number];
                made.push({ matrix: room.finish(), ...(factor !== undefined && { factor }) });
              }
              return rotatedAt(engine, { label, rows, cols, inners: made }, before, after, address, side);
            } catch (error) {
              for (const { matrix } of made) matrix.dispose();
              throw error;
            }
          },
          release,
        };
      }),
  };
}

/** Bytes of the numbers of a chain that leads from vectors of `from` numbers to those of `to`. */
function chainBytes(where: string, steps: readonly StepRecord[], from: number, to: number): number {
  let length = from;
  let bytes = 0;
  for (const [i, step] of steps.entries()) {
    const next = measure(step, length);
    checkInteger(`${where}[${i}]: length`, next.to, 1, MAX_COLS);
    length = next.to;
    bytes += rounded(next.count * 4);
  }
  if (length !== to) throw rangeError(where, `steps to length ${to}`, `length ${length}`);
  return bytes;
}

/** The steps with their numbers, which are in memory from `address` on. */
function plan(
  where: string,
  { arena }: Engine,
  records: readonly StepRecord[],
  address: number,
  from: number,
  to: number,
): Plan {
  let at = address / 4;
  let length = from;
  const steps = records.map((record) => {
    const { to: next, count } = measure(record, length);
    const step = stepWith(record, arena.floats.subarray(at, at + count));
    at += rounded(count * 4) / 4;
    length = next;
    return step;
  });
  return new Plan(where, steps, from, to);
}

/**
 * Regions of these sizes (none for 0 and undefined), and what is made of them: they are given back if that fails, or by its
 * `release` as long as it is not finished.
 */
function allocated(
  { arena }: Engine,
  sizes: readonly (number | undefined)[],
  make: (addresses: readonly (number | undefined)[]) => Room<PackedMatrix>,
): Room<PackedMatrix> {
  const addresses: (number | undefined)[] = [];
  const release = (): void => {
    for (const address of addresses) if (address !== undefined) arena.release(address);
    addresses.length = 0;
  };
  try {
    for (const bytes of sizes) addresses.push(bytes ? arena.allocate(bytes) : undefined);
    const { regions, ...room } = make(addresses.slice());
    let taken = false;
    return {
      regions,
      finish: () => {
        const matrix = room.finish();
        taken = true;
        return matrix;
      },
      release: () => {
        if (taken) return;
        room.release();
        release();
      },
    };
  } catch (error) {
    release();
    throw error;
  }
}

function regionOf(address: number | undefined, bytes: number | undefined): RoomRegion[] {
  return address === undefined || !bytes ? [] : [{ address, bytes: rounded(bytes) }];
}

function sideOf(
  where: string,
  engine: Engine,
  address: number | undefined,
  branches: RecordedBranches | undefined,
): Side | undefined {
  if (address === undefined || branches === undefined) return undefined;
  const { layout, bytes } = branches;
  checkRegion(`${where}: branches`, engine.arena.bytes.subarray(address, address + bytes), layout);
  return new Side(engine, address, layout);
}

/** A permutation. */
function columnOrder(where: string, bytes: Uint8Array, cols: number): Uint32Array {
  const order = wordsOf(bytes.subarray(0, 4 * cols));
  const seen = new Uint8Array(cols);
  for (const [i, col] of order.entries()) {
    if (col >= cols || seen[col]) throw rangeError(`${where}: order`, "every column once", `${col} at index ${i}`);
    seen[col] = 1;
  }
  return order;
}

/** What kernels rely on: finite scales, numbers and weights, tables that they can read. */
function checkBytes(
  where: string,
  engine: Engine,
  spec: Omit<MatrixSpec, "shared">,
  { layout: kind }: Format,
  { checkTables }: StoredFormat,
  address: number,
): void {
  const { layout } = spec;
  const { arena, exports } = engine;
  const bytes = arena.bytes.subarray(address, address + layout.bytes);
  const floats = arena.floats.subarray(address / 4, (address + layout.bytes) / 4);
  checkTables?.(`${where}: tables`, bytes.subarray(tablesAt(layout)), spec);
  if (kind === "floats") {
    if (spec.format === "dense32") checkFinite(`${where}: weights`, floats.subarray(0, layout.weightBytes / 4));
    else checkHalves(`${where}: weights`, bytes.subarray(0, layout.weightBytes), spec.format);
    return;
  }
  const [begin, end] = [scalesAt(layout), tablesAt(layout)];
  let largest = 0;
  if (layout.records) {
    largest = largestRecord(where, engine, layout, layout.records, address);
  } else {
    largest = exports.absmax(address + begin, (end - begin) / 4);
    if (!Number.isFinite(largest)) checkFinite(`${where}: scales`, floats.subarray(begin / 4, end / 4));
  }
  // Products of finite scales may leave float32.
  if (!isLarge([largest])) return;
  const line = new Float32Array(spec.cols);
  for (let row = 0; row < spec.rows; row++) {
    spec.readRow(bytes, floats, row, line);
    checkFinite(`${where}: weights of row ${row}`, line);
  }
}

/** The largest scale or offset of records, as kernels have them. */
function largestRecord(where: string, engine: Engine, layout: Layout, records: ScaleRecords, address: number): number {
  const { groups, paddedRows } = layout;
  const floats = TILE_ROWS * groups;
  const scales = engine.scratch(8 * floats);
  const offsets = records.offsets ? scales + 4 * floats : 0;
  const stripBytes = (groups / records.groups) * recordBytes(records);
  let largest = 0;
  for (let row = 0; row < paddedRows; row += TILE_ROWS) {
    const height = Math.min(TILE_ROWS, paddedRows - row);
    const packed = address + scalesAt(layout) + (row / STRIP_ROWS) * stripBytes;
    const { exports } = engine;
    exports.expand_scales(
      ...([packed, scales, offsets, 0, height] as const),
      ...([groups, records.groups, RECORD_KINDS[records.kind], records.factor] as const),
    );
    for (const at of records.offsets ? [scales, offsets] : [scales]) {
      largest = Math.max(largest, exports.absmax(at, height * groups));
      if (!Number.isFinite(largest))
        throw rangeError(`${where}: scales`, "finite scales", `${largest} among rows from ${row} on`);
    }
  }
  return largest;
}

/** Exponents of all ones are NaN and Infinity. */
function checkHalves(where: string, bytes: Uint8Array, format: string): void {
  const mask = format === "dense16" ? 0x7c : 0x7f;
  const low = format === "dense16" ? 0 : 0x80;
  for (let i = 1; i < bytes.length; i += 2) {
    const high = bytes[i] as number;
    if ((high & mask) !== mask || ((bytes[i - 1] as number) & low) !== low) continue;
    throw rangeError(where, "finite numbers", `NaN or Infinity at byte ${i - 1}`);
  }
}
