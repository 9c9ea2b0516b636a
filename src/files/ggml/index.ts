// ggml.matrix and ggml.decode: tensors of GGUF files as matrices, without a loss, and as floats.
import { tableReader } from "../../formats/codebook/reader.ts";
import { byteTable, int16Table } from "../../formats/codebook/stored.ts";
import { type DenseType, pack as packDense } from "../../formats/dense/index.ts";
import { makePlanes } from "../../formats/shared/plane-matrix.ts";
import type { RowWriter } from "../../formats/shared/planes.ts";
import { uniformReader } from "../../formats/shared/uniform-matrix.ts";
import { makeWords } from "../../formats/shared/word-matrix.ts";
import { I2S_LAYOUTS, type I2sTensors } from "../../formats/ternary/from-i2s.ts";
import { fromI2s } from "../../formats/ternary/index.ts";
import { makeTernary } from "../../formats/ternary/matrix.ts";
import { formatOf } from "../../kernels/formats.ts";
import type { Activation, FormatName } from "../../kernels/types.ts";
import { checkArray, checkChoice, checkInteger, checkLength, MAX_COLS, MAX_ROWS } from "../../lib/check.ts";
import { bfloat16ToFloat, halfToFloat } from "../../lib/half.ts";
import { floatsOf, wordsOf } from "../../lib/little-endian.ts";
import { type OptionNames, readOptions } from "../../lib/options.ts";
import { formatLayout } from "../../matrix/make.ts";
import { makeParts, recordValues, type ScaleRecords } from "../../matrix/scale-records.ts";
import { checkShape, IMPORT_NAMES, type ImportOptions } from "../../matrix/shape.ts";
import type { Matrix } from "../../matrix/spec.ts";
import { engineOf } from "../../runtime/engine.ts";
import type { Lowbit } from "../../runtime/features.ts";
import { type GgmlType, ggmlType, ggmlTypeId, ggmlTypeNames } from "../ggml-types.ts";
import { plain } from "../text.ts";
import { type Blocks, blocks, codeReader, type Places, partsReader, WIDE_TQ2_0 } from "./blocks.ts";
import { u16 } from "./numbers.ts";
import { type BlockRows, bytesOfStrip, recordWriter, rowWriter, stripWriter } from "./pack.ts";

/** A tensor of a GGUF file that is a matrix. */
export interface GgmlTensor {
  /** As `FileTensor.dtype` has it: "Q4_K", "BF16", … */
  readonly type: string;
  readonly rows: number;
  /** A multiple of the columns of a block. */
  readonly cols: number;
  /** Little-endian, as `FileTensor.read` gives it: rows · cols / columns of a block · bytes of a block. */
  readonly data: Uint8Array;
  /** What the tensor is called in messages. */
  readonly name?: string;
  /** I2_S: which of three layouts it has, which no file says. "x86" is that of the published ones. */
  readonly layout?: I2sTensors["layout"];
}

const NAMES: OptionNames<GgmlTensor> = {
  type: ["dtype"],
  rows: [],
  cols: [],
  data: [],
  name: [],
  layout: [],
};

const DENSE: Readonly<Record<string, DenseType>> = { F32: "float32", F16: "float16", BF16: "bfloat16" };

/**
 * A matrix of the tensor's weights: `dequantize()` gives the floats of ggml's dequantize_row_*, bit for bit. Activations are
 * "int8" unless it is said otherwise, of F32, F16 and BF16 "f32".
 *
 * @throws TypeError, RangeError for a wrong argument: a type that is no matrix's, bytes that do not fit the shape, a scale that is
 * NaN or Infinity; OutOfMemoryError
 */
export function matrix(lb: Lowbit, given: GgmlTensor & ImportOptions): Matrix {
  const options = readOptions<GgmlTensor & ImportOptions>("ggml.matrix", given, { ...NAMES, ...IMPORT_NAMES });
  const where = placeOf("ggml.matrix", options.name);
  const { type, data } = checkTensor(where, options);
  const { rows, cols, activation, kernel } = options;
  const common = { ...(activation !== undefined && { activation }), ...(kernel !== undefined && { kernel }) };
  const dense = DENSE[type.name];
  if (dense !== undefined) {
    if (activation !== undefined) checkChoice<Activation>(`${where}: activation`, activation, ["f32"]);
    const words = dense === "float32" ? floatsOf(data) : wordsOf(data);
    return packDense(lb, { rows, cols, weights: words, ...(dense !== "float32" && { type: dense }) });
  }
  if (type.name === "I2_S") {
    const layout = checkChoice(`${where}: layout`, options.layout, I2S_LAYOUTS);
    return fromI2s(lb, { rows, cols, layout, packed: data, ...common });
  }
  const known = blocksOf(where, type.name, data);
  const { group, format, levels, table, records } = known;
  checkScales(where, data, type, known);
  const shape = checkShape(where, format, { rows, cols, groupSize: group, ...common });
  const perRow = cols / type.columns;
  const all: BlockRows = { data, type, known, rows, perRow };
  return engineOf(where, lb).arena.lend(bytesOfStrip(all), (from) => {
    const label = type.name;
    const strip = stripWriter(all, from);
    if (format === "ternary" || format === "binary") {
      // One group a block.
      const scales = scalesOf(all);
      if (format === "ternary") {
        return makeTernary(where, lb, label, shape, scales, rowWriter(all), strip);
      }
      return makePlanes(where, lb, { label, format, shape, scales: [scales], writeRow: signWriter(all, cols) });
    }
    return makeWords(where, lb, {
      label,
      format,
      shape,
      scales: [],
      records: { kind: records, write: recordWriter(all, from) },
      ...(table && { tables: table === "bytes" ? byteTable(levels) : int16Table(levels) }),
      writeRow: strip ? { strip } : rowWriter(all),
      reader: table ? tableReader : uniformReader,
    });
  });
}

/**
 * The tensor's numbers as float32, bit for bit as ggml has them: of the types that have no matrix, too (I8, I16, I32, I64, F64, which
 * are rounded to float32).
 *
 * @throws TypeError, RangeError for a wrong argument
 */
export function decode(given: GgmlTensor): Float32Array {
  const options = readOptions("ggml.decode", given, NAMES);
  const where = placeOf("ggml.decode", options.name);
  const { type, data } = checkTensor(where, options);
  const { rows, cols } = options;
  const plainNumbers = numbersOf(where, type, data);
  if (plainNumbers) return plainNumbers;
  const out = new Float32Array(rows * cols);
  if (type.name === "I2_S") {
    decodeI2s(data, checkChoice(`${where}: layout`, options.layout, I2S_LAYOUTS), cols, out);
    return out;
  }
  const known = blocksOf(where, type.name, data);
  const { group, levels, records } = known;
  const each = type.columns / group;
  const readCodes = codeReader(known.codes, type.columns);
  const readParts = partsReader(known.parts, records);
  const parts = makeParts();
  const codes = new Uint8Array(type.columns);
  const scales = new Float32Array(each);
  const offsets = new Float32Array(each);
  for (let block = 0, to = 0; block < data.length / type.bytes; block++) {
    readCodes(data, block * type.bytes, codes, 0);
    readParts(data, block * type.bytes, parts);
    recordValues(records, parts, scales, offsets, 0);
    for (let col = 0; col < type.columns; col++) {
      const g = Math.floor(col / group);
      const scaled = (scales[g] as number) * (levels[codes[col] as number] as number);
      out[to++] = records.offsets ? scaled + (offsets[g] as number) : scaled;
    }
  }
  return out;
}

/**
 * Bytes of linear memory of the matrix of a tensor, which can be known before it is read. Of TQ2_0 those without codes 3.
 *
 * @returns undefined for a type that has no matrix, and for columns that do not fill its blocks
 */
export function bytesOf(
  given: Pick<GgmlTensor, "type" | "rows" | "cols"> & { readonly activation?: Activation },
): number | undefined {
  const { type, rows, cols, activation = "int8" } = given;
  const known = Object.hasOwn(blocks, type) ? (blocks[type] as Blocks) : undefined;
  if (known !== undefined && rowBytesOf(type, cols) === undefined) return undefined;
  const format = known?.format ?? (Object.hasOwn(WHOLE, type) ? WHOLE[type] : undefined);
  if (format === undefined) return undefined;
  const table = known?.table && (known.table === "bytes" ? byteTable : int16Table)(known.levels);
  // As matrix() has it.
  const scaled = format === "ternary" || format === "binary";
  return formatLayout(formatOf(format, activation), {
    rows,
    cols,
    groupSize: known?.group ?? cols,
    planes: scaled ? 1 : 0,
    records: scaled ? undefined : known?.records,
    offsets: false,
    sharedScales: false,
    tableBytes: table?.length ?? 0,
    types: undefined,
  }).bytes;
}

/** Formats of types without blocks. */
const WHOLE: Readonly<Record<string, FormatName>> = {
  F32: "dense32",
  F16: "dense16",
  BF16: "denseb16",
  I2_S: "ternary",
};

/** Bytes of a row of a type that is made of blocks; undefined for another, and where the columns do not fill blocks. */
export function rowBytesOf(name: string, cols: number): number | undefined {
  const type = Object.hasOwn(blocks, name) ? ggmlType(ggmlTypeId(name) as number) : undefined;
  return type && cols % type.columns === 0 ? (cols / type.columns) * type.bytes : undefined;
}

function placeOf(where: string, name: unknown): string {
  return typeof name === "string" ? `${where}: ${plain(name)}` : where;
}

/** Types and bytes that fit each other. */
function checkTensor(
  where: string,
  { type: name, rows, cols, data: given }: Pick<GgmlTensor, "type" | "rows" | "cols" | "data">,
): { readonly type: GgmlType; readonly data: Uint8Array } {
  const type = ggmlType(ggmlTypeId(checkChoice(`${where}: type`, name, ggmlTypeNames())) as number) as GgmlType;
  checkInteger(`${where}: rows`, rows, 1, MAX_ROWS);
  checkInteger(`${where}: cols`, cols, 1, MAX_COLS);
  if (cols % type.columns !== 0) {
    throw new RangeError(`${where}: cols: expected a multiple of ${type.columns} for ${type.name}, got ${cols}`);
  }
  const data = checkArray(`${where}: data`, given, ["Uint8Array"]);
  const tail = type.tail === 0 ? "" : ` + ${type.tail}`;
  const shape = `rows ${rows} x cols ${cols} / ${type.columns} x ${type.bytes}${tail}`;
  checkLength(`${where}: data`, data, ((rows * cols) / type.columns) * type.bytes + type.tail, shape);
  return { type, data };
}

function blocksOf(where: string, name: string, data: Uint8Array): Blocks {
  if (name === "TQ2_0" && hasThrees(data)) return WIDE_TQ2_0;
  const known = Object.hasOwn(blocks, name) ? blocks[name] : undefined;
  if (known === undefined) {
    const expected = [...Object.keys(blocks), ...Object.keys(DENSE), "I2_S"].join(", ");
    throw new RangeError(`${where}: type: expected one of ${expected}, got ${name}, which has no matrix`);
  }
  return known;
}

/** Refuses scales of which a weight is not finite. */
function checkScales(
  where: string,
  data: Uint8Array,
  { bytes, columns }: GgmlType,
  { group, levels, records, ...known }: Blocks,
): void {
  if (haveFiniteWeights(data, bytes, known.parts, records)) return;
  const largest = levels.reduce((most, level) => Math.max(most, Math.abs(level)), 0);
  const each = columns / group;
  const read = partsReader(known.parts, records);
  const parts = makeParts();
  const scales = new Float32Array(each);
  const offsets = new Float32Array(each);
  for (let block = 0; block < data.length / bytes; block++) {
    read(data, block * bytes, parts);
    recordValues(records, parts, scales, offsets, 0);
    for (let g = 0; g < each; g++) {
      const most = Math.fround(Math.abs(scales[g] as number) * largest) + Math.abs(offsets[g] as number);
      if (Number.isFinite(Math.fround(most))) continue;
      throw new RangeError(
        `${where}: data: expected scales of which weights are finite, got ${scales[g]} in block ${block}`,
      );
    }
  }
}

/** The highest byte of halves that are not finite. */
const NOT_FINITE = 0x7c;
/** 2^73: times a level still far from Infinity. */
const SAFE_E8M0 = 200;

// Quickly, and false where it takes a closer look. Finite halves times what is in blocks, at most 2^7, times levels, at most 2^7, are
// below 2^30; E4M3 ends at 448.
function haveFiniteWeights(data: Uint8Array, bytes: number, places: Blocks["parts"], { kind }: ScaleRecords): boolean {
  if (typeof places === "function") return false;
  for (const place of [places.d, places.m]) {
    if (place === undefined) continue;
    for (let at = place + 1; at < data.length; at += bytes) {
      if (((data[at] as number) & NOT_FINITE) === NOT_FINITE) return false;
    }
  }
  if (kind === "e8m0") {
    for (let at = places.bytes as number; at < data.length; at += bytes) {
      if ((data[at] as number) > SAFE_E8M0) return false;
    }
  }
  return true;
}

/** The scales of blocks that have one each, a half. */
function scalesOf({ data, type, known, rows, perRow }: BlockRows): Float32Array {
  const at = (known.parts as Places).d as number;
  const halves = new Uint16Array(rows * perRow);
  for (let block = 0, from = at; block < halves.length; block++, from += type.bytes) halves[block] = u16(data, from);
  return halfToFloat("ggml.matrix", halves);
}

/** Codes 0 and 1 as bits of bytes. */
function signWriter(blocks: BlockRows, cols: number): RowWriter {
  const writeRow = rowWriter(blocks);
  const codes = new Uint8Array(cols);
  return (row, out) => {
    writeRow(row, codes);
    for (let col = 0; col < cols; col++) {
      out[col >> 3] = (out[col >> 3] as number) | ((codes[col] as number) << (col & 7));
    }
  };
}

// Codes of 3, which quantisers never write: two bytes at a time where they are at even addresses, as those of files are.
function hasThrees(data: Uint8Array): boolean {
  const even = data.byteOffset % 2 === 0 ? data : new Uint8Array(data);
  const words = new Uint16Array(even.buffer, even.byteOffset, even.length / 2);
  for (let block = 0; block < words.length; block += 33) {
    let threes = 0;
    for (let i = block; i < block + 32; i++) {
      const word = words[i] as number;
      threes |= word & (word >> 1);
    }
    if ((threes & 0x5555) !== 0) return true;
  }
  return false;
}

/** Numbers that have no blocks. */
function numbersOf(where: string, { name }: GgmlType, data: Uint8Array): Float32Array | undefined {
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  const read = (bytes: number, get: (at: number) => number): Float32Array =>
    Float32Array.from({ length: data.length / bytes }, (_, i) => get(i * bytes));
  if (name === "F32") return floatsOf(data);
  if (name === "F16") return halfToFloat(where, wordsOf(data));
  if (name === "BF16") return bfloat16ToFloat(where, wordsOf(data));
  if (name === "F64") return read(8, (at) => view.getFloat64(at, true));
  if (name === "I8") return read(1, (at) => view.getInt8(at));
  if (name === "I16") return read(2, (at) => view.getInt16(at, true));
  if (name === "I32") return read(4, (at) => view.getInt32(at, true));
  if (name === "I64") return read(8, (at) => Number(view.getBigInt64(at, true)));
  return undefined;
}

// Layouts are drawn in formats/ternary/from-i2s.ts. A code 3 is 0, as microsoft/BitNet's kernels for x86 have it.
function decodeI2s(data: Uint8Array, layout: I2sTensors["layout"], cols: number, out: Float32Array): void {
  const bytes = out.length / 4;
  const scale = new DataView(data.buffer, data.byteOffset, data.length).getFloat32(bytes, true);
  const step = layout === "x86" ? 32 : 16;
  for (let i = 0; i < bytes; i++) {
    for (let j = 0; j < 4; j++) {
      const code = ((data[i] as number) >> (6 - 2 * j)) & 3;
      const at =
        layout === "rows"
          ? (4 * Math.floor(i / cols) + j) * cols + (i % cols)
          : 4 * (i - (i % step)) + step * j + (i % step);
      out[at] = code === 3 ? 0 : scale * (code - 1);
    }
  }
}
