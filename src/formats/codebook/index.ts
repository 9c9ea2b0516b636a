import { formatOf } from "../../kernels/formats.ts";
import type { FormatName, IndexBits } from "../../kernels/types.ts";
import { checkChoice, checkFinite, checkFloatArray, checkInteger, checkLength, rangeError } from "../../lib/check.ts";
import type { FloatTensor } from "../../lib/floats.ts";
import { type OptionNames, readOptions, type Settled } from "../../lib/options.ts";
import { callAsync, callNow, PROGRESS_NAMES, type ProgressOptions, type Steps } from "../../lib/progress.ts";
import { type Inner, makeRotated } from "../../matrix/rotated.ts";
import {
  COMMON_NAMES,
  type CommonOptions,
  checkCodes,
  checkScales,
  checkShape,
  IMPORT_NAMES,
  type ImportOptions,
  type Shape,
} from "../../matrix/shape.ts";
import type { Matrix } from "../../matrix/spec.ts";
import { QUANTIZER_MEMBERS } from "../../numeric/gptq.ts";
import { limitScale } from "../../numeric/scale.ts";
import { WHOLE_ROW } from "../../numeric/shape.ts";
import type { Lowbit } from "../../runtime/features.ts";
import type { ImportedTable } from "../shared/tensors.ts";
import { makeWords } from "../shared/word-matrix.ts";
import { mxfp4Codes, nvfp4Codes, tableInParts } from "./grid.ts";
import { kmeansInParts, kmeansMatrix } from "./kmeans.ts";
import { importMxfp4, MXFP4_NAMES, type Mxfp4Tensors } from "./mxfp4.ts";
import { BNB_NAMES, type BnbTensors, importBnb4 } from "./nf4.ts";
import { importNvfp4, NVFP4_NAMES, type Nvfp4Tensors } from "./nvfp4.ts";
import { BNB_FP4, E2M1_DOUBLED, NF4 } from "./published.ts";
import { tableReader } from "./reader.ts";
import { byteTable, int16Table, integerTable, LARGEST, rowTables } from "./stored.ts";

export type { Mxfp4Tensors } from "./mxfp4.ts";
export type { BnbTensors } from "./nf4.ts";
export type { Nvfp4Tensors } from "./nvfp4.ts";

/**
 * w = scale · table[code], codes of 2, 3 or 4 bits: one table for the matrix with a scale a group (NF4, FP4, MXFP4, NVFP4),
 * or a table a row (SqueezeLLM, Kim et al. 2024; GANQ; any-precision LLM).
 *
 * A table whose entries are whole multiples of one number, with a range of at most 127 of them, is exact and faster;
 * others are rounded to 16 bits: to 1/32767 of their largest magnitude.
 */
export interface CodebookPackOptions extends CommonOptions {
  readonly bits: IndexBits;
  /** [rows, cols], 0..2^bits - 1 */
  readonly codes: Uint8Array;
  /** [2^bits], or [rows, 2^bits] for a table a row */
  readonly tables: FloatTensor;
  /** [1], [rows] or [rows, ceil(cols / groupSize)]; with a table a row no groups. Default: 1. */
  readonly scales?: FloatTensor;
}

/** "rows" and "matrix" are fitted by k-means, the others are published: NF4, FP4 of bitsandbytes, OCP MXFP4, NVFP4. */
export type CodebookTable = "rows" | "matrix" | "nf4" | "fp4" | "mxfp4" | "nvfp4";

export interface CodebookQuantizeOptions extends CommonOptions, ProgressOptions {
  /** Default 4; the published tables have 4. */
  readonly bits?: IndexBits;
  /** Where the table comes from, or itself, [2^bits]. Default "rows". */
  readonly table?: CodebookTable | FloatTensor;
  /** Columns that share a scale, -1: all of a row. Default: 64 for "nf4" and "fp4", all of a row for a table that is given. */
  readonly groupSize?: number;
  /** k-means: how much the error of each weight counts, [cols] or [rows, cols]. Default 1. */
  readonly importance?: FloatTensor;
  /** k-means: steps at most. Default 20. */
  readonly iterations?: number;
}

const PACK: OptionNames<CodebookPackOptions> = { ...COMMON_NAMES, bits: [], codes: [], tables: [], scales: [] };
const QUANTIZE: OptionNames<CodebookQuantizeOptions> = {
  ...COMMON_NAMES,
  ...PROGRESS_NAMES,
  bits: [],
  table: [],
  importance: [],
  iterations: [],
};

const TABLES: readonly CodebookTable[] = ["rows", "matrix", "nf4", "fp4", "mxfp4", "nvfp4"];
const BLOCKS: Readonly<Partial<Record<CodebookTable, number>>> = { nf4: 64, fp4: 64, mxfp4: 32, nvfp4: 16 };

/** Codes, tables and scales, whoever made them. */
interface Codes {
  readonly label: string;
  readonly bits: IndexBits;
  readonly codes: Uint8Array;
  readonly tables: ArrayLike<number>;
  readonly scales: Float32Array;
}

/**
 * Nearest entries of a table that is fitted to the weights, given, or published.
 *
 * @param w [rows, cols] row-major
 * @throws TypeError, RangeError for a wrong argument or NaN or Infinity in w; the reason of an aborted signal;
 * OutOfMemoryError
 */
export function quantize(lb: Lowbit, w: FloatTensor, options: CodebookQuantizeOptions): Matrix {
  return callNow("codebook.quantize", QUANTIZE, quantized, lb, w, options);
}

/** As `quantize`, with turns for the event loop. */
export async function quantizeAsync(lb: Lowbit, w: FloatTensor, options: CodebookQuantizeOptions): Promise<Matrix> {
  return callAsync("codebook.quantizeAsync", QUANTIZE, quantized, lb, w, options);
}

type QuantizeOptions = Settled<CodebookQuantizeOptions>;

function* quantized(where: string, lb: Lowbit, w: Float32Array, options: QuantizeOptions): Steps<Matrix> {
  const shape = checkQuantize(where, options);
  return fromCodes(where, lb, shape, yield* codesOf(where, w, shape, options));
}

function checkQuantize(where: string, options: QuantizeOptions): Shape {
  const { table = "rows", groupSize } = options;
  const bits = checkBits(`${where}: bits`, options.bits === undefined ? 4 : options.bits);
  if (table instanceof Float32Array) {
    checkLength(`${where}: table`, table, 2 ** bits, `2^${bits} entries`);
    return checkShape(where, `codebook${storedBits(bits, groupSize, options.cols)}`, options);
  }
  checkChoice(`${where}: table`, table, TABLES);
  const fitted = table === "rows" || table === "matrix";
  if (!fitted && bits !== 4) throw rangeError(`${where}: bits`, `4 for table "${table}"`, bits);
  if (fitted && groupSize !== undefined && groupSize !== WHOLE_ROW) {
    throw rangeError(`${where}: groupSize`, `no groups with table "${table}"`, groupSize);
  }
  const block = BLOCKS[table];
  if ((table === "mxfp4" || table === "nvfp4") && groupSize !== undefined && groupSize !== block) {
    throw rangeError(`${where}: groupSize`, `${block} for table "${table}"`, groupSize);
  }
  const size = groupSize ?? block;
  const format: FormatName = table === "rows" ? `codebook${bits}_rows` : `codebook${bits}`;
  return checkShape(where, format, { ...options, ...(size !== undefined && { groupSize: size }) });
}

/**
 * Bits of a code in memory: 4 where the layout of 2 or 3 keeps more columns together than a group has, which is then any
 * multiple of 8.
 */
function storedBits(bits: IndexBits, groupSize: number | undefined, cols: number): IndexBits {
  if (groupSize === undefined || groupSize === WHOLE_ROW || groupSize >= cols) return bits;
  return groupSize % formatOf(`codebook${bits}`, "int8").chunk === 0 ? bits : 4;
}

function checkBits(where: string, value: unknown): IndexBits {
  return checkInteger(where, value, 2, 4) as IndexBits;
}

function* codesOf(where: string, w: Float32Array, shape: Shape, options: QuantizeOptions): Steps<Codes> {
  const { bits = 4, table = "rows", importance, iterations } = options;
  const one = Float32Array.of(1);
  if (table === "rows" || table === "matrix") {
    const fit = yield* (table === "rows" ? kmeansInParts : kmeansMatrix)(where, w, shape, {
      bits,
      ...(importance !== undefined && { importance }),
      ...(iterations !== undefined && { iterations }),
    });
    return { label: `codebook${bits}`, bits, codes: fit.codes, tables: fit.tables, scales: one };
  }
  if (table === "mxfp4" || table === "nvfp4") {
    const fit = yield* (table === "mxfp4" ? mxfp4Codes : nvfp4Codes)(where, w, shape);
    return { label: table, bits, ...fit, tables: E2M1_DOUBLED };
  }
  const tables = table === "nf4" ? NF4 : table === "fp4" ? BNB_FP4 : table;
  const fit = yield* tableInParts(where, w, shape, tables);
  return { label: typeof table === "string" ? table : `codebook${bits}`, bits, ...fit, tables };
}

/**
 * A matrix of codes that are there already.
 *
 * @throws TypeError, RangeError for a wrong argument, a code of too many bits (its index is named), NaN or Infinity in
 * tables or scales; OutOfMemoryError
 */
export function pack(lb: Lowbit, given: CodebookPackOptions): Matrix {
  const where = "codebook.pack";
  const options = readOptions(where, given, PACK, "options", QUANTIZER_MEMBERS);
  const bits = checkBits(`${where}: bits`, options.bits);
  const { scales = Float32Array.of(1) } = options;
  const entries = 2 ** bits;
  const tables = checkFloatArray(`${where}: tables`, options.tables);
  const each = tables.length !== entries;
  const stored = storedBits(bits, options.groupSize, options.cols);
  const shape = checkShape(where, each ? `codebook${bits}_rows` : `codebook${stored}`, options);
  const { rows, cols, groupSize } = shape;
  if (each) checkLength(`${where}: tables`, tables, rows * entries, `2^${bits}, or rows ${rows} x 2^${bits}`);
  checkFinite(`${where}: tables`, tables);
  if (each && groupSize < cols) throw rangeError(`${where}: groupSize`, "no groups with a table a row", groupSize);
  const codes = checkCodes(`${where}: codes`, options.codes, shape, entries - 1);
  return fromCodes(where, lb, shape, { label: `codebook${bits}`, bits, codes, tables, scales });
}

/** MXFP4 as published: blocks of 32 columns, E8M0 scales (OCP Microscaling Formats 1.0). Exact. */
export function fromMxfp4(lb: Lowbit, given: Mxfp4Tensors & ImportOptions): Matrix {
  const where = "codebook.fromMxfp4";
  const options = readOptions<Mxfp4Tensors & ImportOptions>(where, given, { ...MXFP4_NAMES, ...IMPORT_NAMES });
  return fromImport(where, lb, "mxfp4", importMxfp4(where, options), options);
}

/** NVFP4 as published: blocks of 16 columns, E4M3 scales and one float32 scale. Exact. */
export function fromNvfp4(lb: Lowbit, given: Nvfp4Tensors & ImportOptions): Matrix {
  const where = "codebook.fromNvfp4";
  const options = readOptions<Nvfp4Tensors & ImportOptions>(where, given, { ...NVFP4_NAMES, ...IMPORT_NAMES });
  return fromImport(where, lb, "nvfp4", importNvfp4(where, options), options);
}

/**
 * NF4 or FP4 of bitsandbytes (QLoRA, Dettmers et al. 2023). Its blocks run over the flattened matrix; where their borders
 * fall inside units of 8 columns, weights are stored twice, once for each of the two scales of such a unit.
 */
export function fromBitsAndBytes(lb: Lowbit, given: BnbTensors & ImportOptions): Matrix {
  const where = "codebook.fromBitsAndBytes";
  const options = readOptions<BnbTensors & ImportOptions>(where, given, { ...BNB_NAMES, ...IMPORT_NAMES });
  const imported = importBnb4(where, options);
  const { rows, cols, rest } = imported;
  const label = options.type ?? "nf4";
  const matrix = fromImport(where, lb, label, imported, options);
  if (rest === undefined) return matrix;
  const inners: Inner[] = [{ matrix }];
  try {
    inners.push({ matrix: fromImport(where, lb, label, { ...imported, ...rest }, options) });
  } catch (error) {
    matrix.dispose();
    throw error;
  }
  return makeRotated(where, lb, { label, rows, cols, pre: [], post: [], inners });
}

function fromImport(where: string, lb: Lowbit, label: string, imported: ImportedTable, options: ImportOptions): Matrix {
  const { rows, cols, groupSize, codes, scales, table } = imported;
  const { activation, kernel } = options;
  const shape = checkShape(where, "codebook4", {
    rows,
    cols,
    groupSize,
    ...(activation !== undefined && { activation }),
    ...(kernel !== undefined && { kernel }),
  });
  return fromCodes(where, lb, shape, { label, bits: 4, codes, tables: table, scales });
}

/** scale · unit; one float32 lower where scale · entry is a finite float32 and only the rounding of this product would pass it. */
function timesUnit(scale: number, unit: number, most: number): number {
  const product = Math.fround(scale * unit);
  return Number.isFinite(Math.fround(scale * unit * most)) ? limitScale(product, most) : product;
}

function fromCodes(where: string, lb: Lowbit, shape: Shape, { label, bits, codes, tables, scales }: Codes): Matrix {
  const { rows, cols } = shape;
  const given = checkScales(`${where}: scales`, scales, shape);
  const each = tables.length !== 2 ** bits;
  const table = each ? undefined : integerTable(tables, given);
  const packed = each ? rowTables(tables, rows, 2 ** bits, given) : undefined;
  const kind = table === undefined ? "_rows" : table.wide ? "_i16" : "";
  const format: FormatName = `codebook${each ? bits : storedBits(bits, shape.groupSize, cols)}${kind}`;
  const unit = table?.unit ?? 1;
  const most = table ? Math.max(...table.entries.map(Math.abs)) : 0;
  return makeWords(where, lb, {
    label,
    format,
    shape,
    scales: [
      packed
        ? Float32Array.from(packed.units, (u, row) =>
            timesUnit(given[given.length === 1 ? 0 : row] as number, u, LARGEST),
          )
        : unit === 1
          ? given
          : given.map((scale) => timesUnit(scale, unit, most)),
    ],
    tables: packed?.bytes ?? (table?.wide ? int16Table(table.entries) : byteTable(table?.entries ?? [])),
    writeRow: (row, out) => out.set(codes.subarray(row * cols, (row + 1) * cols)),
    reader: tableReader,
  });
}
