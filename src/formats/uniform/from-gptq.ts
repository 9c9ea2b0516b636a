// Checkpoints of GPTQ (AutoGPTQ, GPTQModel): codes packed in int32 along the inputs, zero points along the outputs.
import { checkChoice, checkInteger, rangeError, typeError } from "../../lib/check.ts";
import type { FloatTensor } from "../../lib/floats.ts";
import type { OptionNames, Settled } from "../../lib/options.ts";
import {
  bitField,
  checkImportShape,
  checkScaleTensor,
  checkWords,
  type ImportedUniform,
  type ImportShape,
  isSymmetric,
  transpose,
} from "../shared/tensors.ts";

export const GPTQ_FORMATS = ["gptq", "gptq_v2"] as const;
export type GptqFormat = (typeof GPTQ_FORMATS)[number];

/**
 * The tensors of a layer. groups = ceil(cols / groupSize). Where codes do not fill the last word of a column or zero points
 * not that of a group, the rest of the word is not looked at.
 */
export interface GptqTensors extends ImportShape {
  readonly bits: 2 | 3 | 4 | 8;
  /** int32 [ceil(cols · bits / 32), rows] */
  readonly qweight: Int32Array | Uint32Array;
  /** int32 [groups, ceil(rows · bits / 32)]; may be left out if all zero points are 2^(bits - 1) */
  readonly qzeros?: Int32Array | Uint32Array | undefined;
  /** [groups, rows]: float16 in most checkpoints, bfloat16 in those of models that are */
  readonly scales: FloatTensor;
  /** int32 [cols], the group of each column, for checkpoints with activation order. Default: floor(column / groupSize). */
  readonly gIdx?: Int32Array | Uint32Array | undefined;
  /** `checkpoint_format` of the settings: in "gptq", the older one and the default, qzeros hold the zero point less 1. */
  readonly format?: GptqFormat | undefined;
  /** `sym` of the settings: whether all zero points are 2^(bits - 1). Where it is false, qzeros must be there. */
  readonly symmetric?: boolean | undefined;
  /** `desc_act` of the settings: where it is true, gIdx must be there. */
  readonly actOrder?: boolean | undefined;
}

export const GPTQ_NAMES: OptionNames<GptqTensors> = {
  rows: [],
  cols: [],
  groupSize: ["group_size"],
  bits: [],
  qweight: [],
  qzeros: [],
  scales: [],
  gIdx: ["g_idx"],
  format: ["checkpoint_format"],
  symmetric: ["sym"],
  actOrder: ["desc_act"],
};

export interface ImportedGptq extends ImportedUniform {
  /** Column i of codes is input columnOrder[i]. Absent: they are in the order of the inputs. */
  readonly columnOrder?: Uint32Array;
}

/**
 * The codes, scales and zero points of a layer, its columns reordered where `gIdx` scatters groups, so that a group is
 * groupSize neighbouring columns; within a group they keep their order.
 *
 * A stored zero point of "gptq" is taken modulo 2^bits after 1 is added, so that all ones is 0: that is what 0 less 1
 * becomes, and no quantiser makes a zero point of 2^bits. AutoGPTQ reads it so in some of its kernels, and as 2^bits in
 * others.
 *
 * @throws TypeError, RangeError for a wrong argument: a length that does not fit the shape, scales that are not finite, a
 * group number out of range (its index is named), a group that has not groupSize columns
 */
export function importGptq(where: string, tensors: Settled<GptqTensors>): ImportedGptq {
  const { rows, cols, groupSize, groups } = checkImportShape(where, tensors);
  const bits = checkInteger(`${where}: bits`, tensors.bits, 2, 8);
  if (bits !== 2 && bits !== 3 && bits !== 4 && bits !== 8) throw rangeError(`${where}: bits`, "2, 3, 4 or 8", bits);
  const format = tensors.format === undefined ? "gptq" : tensors.format;
  checkChoice(`${where}: format`, format, GPTQ_FORMATS);
  checkSetting(where, "symmetric", tensors.symmetric, false, "qzeros", tensors.qzeros);
  checkSetting(where, "actOrder", tensors.actOrder, true, "gIdx", tensors.gIdx);
  // 3-bit codes straddle words.
  const words = Math.ceil((cols * bits) / 32);
  const qweight = checkWords(`${where}: qweight`, tensors.qweight, words * rows, `${words} words x rows ${rows}`);
  const scales = checkScaleTensor(
    `${where}: scales`,
    tensors.scales,
    groups * rows,
    `groups of a row ${groups} x rows ${rows}`,
  );

  const zeros = new Float32Array(rows * groups).fill(2 ** (bits - 1));
  if (tensors.qzeros !== undefined) {
    const width = Math.ceil((rows * bits) / 32);
    const shape = `groups of a row ${groups} x ${width} words`;
    const qzeros = checkWords(`${where}: qzeros`, tensors.qzeros, groups * width, shape);
    const more = format === "gptq" ? 1 : 0;
    const mask = 2 ** bits - 1;
    for (let group = 0; group < groups; group++) {
      for (let row = 0; row < rows; row++) {
        zeros[row * groups + group] = (bitField(qzeros, group * width, 1, row, bits) + more) & mask;
      }
    }
  }

  const columnOrder = groupedOrder(`${where}: gIdx`, tensors.gIdx, cols, groupSize, groups);
  const codes = new Uint8Array(rows * cols);
  // Some rows at a time, so that the lines of codes that are written to stay in the cache.
  for (let first = 0; first < rows; first += ROWS) {
    const last = Math.min(first + ROWS, rows);
    for (let col = 0; col < cols; col++) {
      const from = columnOrder === undefined ? col : (columnOrder[col] as number);
      for (let row = first; row < last; row++) codes[row * cols + col] = bitField(qweight, row, rows, from, bits);
    }
  }
  return {
    rows,
    cols,
    groupSize,
    bits,
    codes,
    scales: transpose(scales, rows, groups),
    zeros,
    symmetric: isSymmetric(zeros, bits),
    ...(columnOrder !== undefined && { columnOrder }),
  };
}

/** A setting that says that a tensor is there. */
function checkSetting(
  where: string,
  name: string,
  setting: unknown,
  needs: boolean,
  tensorName: string,
  tensor: unknown,
): void {
  if (setting === undefined) return;
  if (typeof setting !== "boolean") throw typeError(`${where}: ${name}`, "a boolean", setting);
  if (setting === needs && tensor === undefined) {
    throw rangeError(`${where}: ${tensorName}`, `a tensor (${name} is ${needs})`, "none");
  }
}

const ROWS = 64;

/** The columns sorted by their group; undefined if they are sorted already. */
export function groupedOrder(
  where: string,
  gIdx: unknown,
  cols: number,
  groupSize: number,
  groups: number,
): Uint32Array | undefined {
  if (gIdx === undefined) return undefined;
  const groupOf = checkWords(where, gIdx, cols, `cols ${cols}`);
  const counts = new Uint32Array(groups);
  let sorted = true;
  for (let col = 0; col < cols; col++) {
    const group = groupOf[col] as number;
    if (group < 0 || group >= groups) {
      throw rangeError(where, `group numbers from 0 to ${groups - 1}`, `${group} at index ${col}`);
    }
    counts[group] = (counts[group] as number) + 1;
    sorted &&= col === 0 || group >= (groupOf[col - 1] as number);
  }
  for (let group = 0; group < groups; group++) {
    const size = Math.min(groupSize, cols - group * groupSize);
    if (counts[group] !== size) {
      throw rangeError(where, `${size} columns of group ${group} (groupSize ${groupSize})`, String(counts[group]));
    }
  }
  if (sorted) return undefined;
  const next = Uint32Array.from({ length: groups }, (_, group) => group * groupSize);
  const order = new Uint32Array(cols);
  for (let col = 0; col < cols; col++) {
    const group = groupOf[col] as number;
    const at = next[group] as number;
    order[at] = col;
    next[group] = at + 1;
  }
  return order;
}
