// From activations to what kernels read. A token takes one pass, or three where float32 activations meet integer weights:
// x = a (q1 + q2 / 254 + q3 / 254²) with three int8 digits, each of which is multiplied exactly.
import { type OperandName, operands, type Token } from "../kernels/operands.ts";
import type { Activation, Format, FormatName, Kernel, Variant } from "../kernels/types.ts";
import { powerOfTwo } from "../numeric/elementary.ts";
import type { Engine } from "../runtime/engine.ts";
import { activationType, makeQuantizer } from "./bits.ts";
import { type Layout, UNIT_COLS } from "./layout.ts";

const DIGIT_BASE = 254;

/** Largest magnitude of fixed-point activations (prepare_fixed in assembly/lut/prepare.ts). */
const FIXED_MAX = 2 ** 21 - 1;
/** Bytes of the record of a token of bit planes before the base of its first group (assembly/popcount/README.md). */
const RECORD_BYTES = 64;
/** Units of the smallest lut8 block (lut8Block in assembly/lut/prepare.ts). */
const LUT8_BLOCK = 8;

/** Regions of scratch memory start at multiples of 64. */
export const align = (bytes: number): number => Math.ceil(bytes / 64) * 64;
const floatBits = /* @__PURE__ */ new Float32Array(1);
const intBits = /* @__PURE__ */ new Uint32Array(floatBits.buffer);

/** Where the parts of a prepared token are, for each pass: offsets in its slot of `bytes` bytes. */
export interface Slot {
  readonly operand: OperandName;
  readonly passes: 1 | 3;
  /**
   * The operand is at 0. What kernels read beside it: lookups the unit and the weights of blocks (steps), dot products the integer
   * sums Σ q of groups, bit planes their record.
   */
  readonly besideAt: number;
  /** float32 sums of groups, for offsets. */
  readonly sumsAt: number;
  readonly bytes: number;
}

/** Where the parts of a token of complex weights are: tables of Re x and Im x, then the steps of both. */
export interface HalvesSlot {
  /** From the tables of Re x to those of Im x. */
  readonly tablesPart: number;
  readonly stepsAt: number;
  readonly stepsPart: number;
  readonly bytes: number;
}

export function halvesSlotOf(activation: Activation, { byteCols, groupByteCols, groups }: Layout): HalvesSlot {
  const unitBytes = operands.halves.bytes("simd", activation);
  const tables = align(byteCols * unitBytes);
  const stepsPart = align(4 * (1 + groups * Math.ceil(groupByteCols / LUT8_BLOCK)));
  const tablesPart = activation === "lut8" ? unitBytes : tables;
  return { tablesPart, stepsAt: 2 * tables, stepsPart, bytes: 2 * (tables + stepsPart) };
}

/**
 * @param gemv the kernel that meets it
 * @param types of bit planes: MatrixSpec.types
 */
export function slotOf(format: Format, gemv: Kernel, variant: Variant, layout: Layout, types = 0): Slot {
  const { byteCols, groupByteCols, groups } = layout;
  const { operand = format.operand, activation } = gemv;
  const { meets, bytes } = operands[operand];
  const unitBytes = bytes(variant, activation);
  if (operand === "bits") {
    // A zero point takes a plane.
    const besideAt = align((activationType(types).bits + 1) * byteCols * unitBytes);
    const sumsAt = besideAt + align(RECORD_BYTES + groups * 4);
    return { operand, passes: 1, besideAt, sumsAt, bytes: sumsAt + align(groups * 4) };
  }
  const besideAt = align(byteCols * unitBytes);
  const steps = 1 + groups * Math.ceil(groupByteCols / LUT8_BLOCK);
  const sumsAt = besideAt + align((meets === "integers" ? groups : steps) * 4);
  const passes = meets === "integers" && activation === "f32" ? 3 : 1;
  return { operand, passes, besideAt, sumsAt, bytes: sumsAt + align(groups * 4) };
}

/** The power of two that brings a largest magnitude to 1..4, or at least above 2^-22: nothing overflows, and it is exact. */
export function normalizer(largest: number): number {
  floatBits[0] = largest;
  return powerOfTwo(Math.max(254 - ((intBits[0] as number) >>> 23), 1) - 127);
}

/** What the sums of each pass are multiplied by, and what they are multiplied by once they are added. */
export interface Factors {
  readonly passes: readonly number[];
  readonly together: number;
}

/** Of integer passes. */
export function factorsOf(passes: 1 | 3, largest: number): Factors {
  if (passes === 1) return { passes: [largest / 127], together: 1 };
  const power = normalizer(largest);
  const first = (largest * power) / 127;
  return { passes: [first, first / DIGIT_BASE, first / (DIGIT_BASE * DIGIT_BASE)], together: 1 / power };
}

/** What x is multiplied by to be int8. */
function ratioOf(largest: number): number {
  return largest === 0 ? 0 : 127 / largest;
}

/** Writes the int8 q of a token, or its three digits `stride` bytes apart. */
export function quantize(
  engine: Engine,
  x: number,
  q: number,
  stride: number,
  byteCols: number,
  passes: 1 | 3,
  largest: number,
): void {
  const { exports } = engine;
  const ratio = ratioOf(largest);
  if (passes === 1) exports.prepare_q8(x, q, byteCols, ratio);
  else exports.prepare_digits(x, q, stride, byteCols, ratio * (DIGIT_BASE * DIGIT_BASE));
}

type Changing<T> = { -readonly [K in keyof T]: T[K] };

/**
 * Prepares one token in its slot.
 * @param x address of float32 [byteCols * 8], padded with zeros
 * @param q address of working space for 3 · byteCols · 8 bytes
 * @param largest max |x|
 */
export function prepare(
  engine: Engine,
  format: FormatName,
  activation: Activation,
  layout: Layout,
  slot: Slot,
  x: number,
  q: number,
  at: number,
  largest: number,
): Factors {
  const { exports, arena } = engine;
  const { byteCols, groupByteCols, offsets } = layout;
  const { passes } = slot;
  const { meets, prepare: make } = operands[slot.operand];
  if (!make) throw new Error(`${slot.operand} is prepared by a function of its own`);
  const power = normalizer(largest);
  // Two planes side by side give twice the product.
  const twoPlanes = format === "ternary";
  // One plain object, which the passes change: making it of another by `...` took longer than a small product.
  const token: Changing<Token> = {
    x,
    q,
    at,
    beside: at + slot.besideAt,
    sums: at + slot.sumsAt,
    byteCols,
    groupByteCols,
    activation,
    ratio: ratioOf(largest),
    power,
    twoPlanes,
    memory: arena.bytes,
  };
  if (meets === "integers") {
    quantize(engine, x, q, byteCols * UNIT_COLS, byteCols, passes, largest);
    for (let pass = 0; pass < passes; pass++) {
      make(exports, token);
      token.q += byteCols * UNIT_COLS;
      token.at += slot.bytes;
      token.beside += slot.bytes;
      token.sums += slot.bytes;
    }
    return factorsOf(passes, largest);
  }
  make(exports, token);
  if (activation === "int8") {
    if (offsets) {
      quantize(engine, x, q, 0, byteCols, 1, largest);
      exports.prepare_sums(q, token.beside, token.sums, byteCols, groupByteCols);
    }
    return factorsOf(1, largest);
  }
  if (offsets) exports.prepare_float_sums(x, token.sums, byteCols, groupByteCols, power);
  return { passes: [1 / power / (twoPlanes ? 2 : 1)], together: 1 };
}

/**
 * Prepares Re x (half 0) or Im x (half 1) of one token of complex weights. Kernels leave twice the product unless it is of
 * exact integers.
 * @param x address of float32 [byteCols * 8], padded with zeros
 * @param at address of the slot
 * @param largest max |x|, or more
 */
export function prepareHalf(
  { exports, arena }: Engine,
  activation: Activation,
  { byteCols, groupByteCols }: Layout,
  { tablesPart, stepsAt, stepsPart }: HalvesSlot,
  half: 0 | 1,
  x: number,
  at: number,
  largest: number,
): Factors {
  const tables = at + half * tablesPart;
  if (activation === "int8") {
    exports.prepare_binary_int8(x, tables, byteCols, ratioOf(largest));
    return factorsOf(1, largest);
  }
  const power = normalizer(largest);
  const together = 1 / power;
  if (activation === "lut8") {
    const steps = at + stepsAt + half * stepsPart;
    exports.prepare_complex_lut8(x, tables, steps, byteCols, groupByteCols, power);
    return { passes: [(arena.floats[steps / 4] as number) / 2], together };
  }
  exports.prepare_fixed(x, tables, byteCols, largest === 0 ? 0 : FIXED_MAX / largest);
  return { passes: [(largest * power) / FIXED_MAX / 2], together };
}

/**
 * Prepares one token as bit planes.
 * @param types MatrixSpec.types
 * @param x address of float32 [byteCols * 8], padded with zeros and finite
 * @param largest max |x|
 */
export function prepareBits(
  engine: Engine,
  types: number,
  cols: number,
  layout: Layout,
  slot: Slot,
  x: number,
  at: number,
  largest: number,
): Factors {
  const { exports } = engine;
  const { byteCols, groupByteCols } = layout;
  const { bits, encoding } = activationType(types);
  const padded = byteCols * UNIT_COLS;
  const unsigned = encoding === "unsigned";
  const { ratio, zero, factor } = makeQuantizer(
    {
      low: unsigned ? exports.least(x, padded, 1) : -largest,
      high: unsigned ? -exports.least(x, padded, -1) : largest,
      mean: encoding === "bipolar" && bits === 1 ? exports.abs_sum(x, padded) / cols : 0,
    },
    bits,
    encoding,
  );
  const record = at + slot.besideAt;
  const sums = at + slot.sumsAt;
  exports.prepare_bitplane_bits(x, at, record, sums, cols, byteCols, groupByteCols, ratio, zero, types);
  return { passes: [factor], together: 1 };
}
