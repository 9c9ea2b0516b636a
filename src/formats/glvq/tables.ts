// What companded vectors are multiplied as: integers of tables made of G and μ. docs/numerics.md has the formulas,
// assembly/vq/README.md the algebra. Bits: 2, so that a nibble holds two z.
import { rangeError } from "../../lib/check.ts";
import { log1p, pow } from "../../numeric/elementary.ts";
import { roundHalfEven } from "../../numeric/scale.ts";
import { GLVQ_DIMENSIONS, type GlvqDimension } from "./group.ts";

/** Sums are bytes: 128 is the largest |y|, and they saturate. */
const ONE = 128;
/** Magnitudes of F⁻¹ that are told apart, and odd integers up to twice as many stand for them. */
const LEVELS = 32;
export const UNITS = 64;
/** Sums of more standard deviations, z being at random, saturate: F leaves few, since it makes tails short. */
const SPREAD = 1.8;
/** Ranges are multiples of 1 / FINE: no last bit of a power decides anything. */
const FINE = 1024;

/** Companded vectors of a group: what they are multiplied as. */
export interface VectorTable {
  readonly d: number;
  /** [d][d / 2][16]: for each column of w, pair of z and nibble of their codes its part of the sum. */
  readonly sums: Int8Array;
  /** [32]: the odd integer of each step of |sum|. */
  readonly levels: Int8Array;
  /** A weight is unit / 64 times its integer, times the gain. */
  readonly unit: number;
}

/**
 * reach = the largest |y| there can be, or 1.8 standard deviations, at most 1, rounded up to a multiple of 1 / 1024; unit = F⁻¹(reach), rounded to one
 * (but not to 0). A sum counts steps of reach / 128: parts are rounded half to even, or of the first pair down, since sums count from the middle of a
 * step. 4 steps share F⁻¹ of their middle, rounded to (2t + 1) unit / 64.
 * @param basis G [d, d]
 */
export function makeTable(basis: ArrayLike<number>, mu: number, d: number): VectorTable {
  let most = 0;
  for (let c = 0; c < d; c++) {
    let [sum, square] = [0, 0];
    for (let j = 0; j < d; j++) {
      const entry = basis[c * d + j] as number;
      sum += Math.abs(entry);
      square += entry * entry;
    }
    most = Math.max(most, Math.min(1.5 * sum, SPREAD * Math.sqrt(1.25 * square)));
  }
  const reach = Math.min(1, Math.ceil(FINE * most) / FINE);
  const unit = Math.max(1, Math.round(FINE * expand(reach, mu))) / FINE;
  const sums = new Int8Array(d * d * 8);
  for (let c = 0, at = 0; c < d; c++) {
    for (let pair = 0; pair < d / 2; pair++) {
      for (let nibble = 0; nibble < 16; nibble++, at++) {
        const first = (basis[c * d + 2 * pair] as number) * ((nibble & 3) - 1.5);
        const value = (ONE * (first + (basis[c * d + 2 * pair + 1] as number) * ((nibble >> 2) - 1.5))) / reach;
        const rounded = pair === 0 ? Math.floor(value) : roundHalfEven(value);
        sums[at] = Math.max(-ONE, Math.min(ONE - 1, rounded));
      }
    }
  }
  const levels = Int8Array.from({ length: LEVELS }, (_, i) => {
    const weight = expand((reach * (2 * i + 1)) / (2 * LEVELS), mu) / unit;
    return 2 * Math.max(0, Math.min(LEVELS - 1, Math.round((UNITS * weight - 1) / 2))) + 1;
  });
  return { d, sums, levels, unit };
}

/** F⁻¹(y) = ((1 + μ)^y - 1) / μ, y >= 0 */
function expand(y: number, mu: number): number {
  return (pow(1 + mu, y) - 1) / mu;
}

/** F(x) = ln(1 + μ x) / ln(1 + μ), x >= 0 */
export function compress(x: number, mu: number): number {
  return log1p(mu * x) / log1p(mu);
}

/** Bytes before the groups, and of one group: F⁻¹ in two vectors, then sums. */
const HEADER = 16;
const groupTableBytes = (d: number): number => 32 + 8 * d * d;

/**
 * What the kernel reads: int32 d, then for each group 32 + t_min(i, 15), t_(16 + i) - t_15, 16 bytes each, levels being
 * 2t + 1, and the sums as [4 columns of w][pair][column][16].
 */
export function storedTables(tables: readonly VectorTable[], d: number): Uint8Array {
  const bytes = new Uint8Array(HEADER + tables.length * groupTableBytes(d));
  bytes[0] = d;
  for (const [group, { levels, sums }] of tables.entries()) {
    const at = HEADER + group * groupTableBytes(d);
    for (let i = 0; i < 16; i++) {
      bytes[at + i] = LEVELS + ((levels[i] as number) >> 1);
      bytes[at + 16 + i] = ((levels[16 + i] as number) - (levels[15] as number)) >> 1;
    }
    forParts(d, at, (from, to) => bytes.set(new Uint8Array(sums.buffer, from, 16), to));
  }
  return bytes;
}

export const tableBytes = (groups: number, d: number): number => HEADER + groups * groupTableBytes(d);

/**
 * Refuses tables that kernels do not take: their bounds want levels of 63 at most.
 *
 * @throws RangeError
 */
export function checkTable(where: string, tables: Uint8Array): void {
  const d = tables[0] as number;
  const count = tableCount(tables);
  if (!GLVQ_DIMENSIONS.includes(d as GlvqDimension) || !Number.isInteger(count)) {
    throw rangeError(where, `vectors of ${GLVQ_DIMENSIONS.join(", ")} columns`, d);
  }
  if (tables.subarray(1, HEADER).some((byte) => byte !== 0)) throw rangeError(where, "zeros behind the size", "others");
  for (let group = 0; group < count; group++) {
    const at = HEADER + group * groupTableBytes(d);
    const last = (tables[at + 15] as number) - LEVELS;
    for (let i = 0; i < 16; i++) {
      const low = (tables[at + i] as number) - LEVELS;
      const high = last + (tables[at + 16 + i] as number);
      if (low >= 0 && low < LEVELS && high >= 0 && high < LEVELS) continue;
      throw rangeError(where, `levels of 0 to ${LEVELS - 1}`, `${low} and ${high} at ${i} of group ${group}`);
    }
  }
}

/** How many groups stored tables have. */
export function tableCount(tables: Uint8Array): number {
  return (tables.length - HEADER) / groupTableBytes(tables[0] as number);
}

/** The other way for a group. */
export function readTable(tables: Uint8Array, group: number): Omit<VectorTable, "unit"> {
  const d = tables[0] as number;
  const at = HEADER + group * groupTableBytes(d);
  const levels = Int8Array.from({ length: LEVELS }, (_, i) => {
    const more = i < 16 ? 0 : (tables[at + i] as number);
    return 2 * ((tables[at + Math.min(i, 15)] as number) - LEVELS + more) + 1;
  });
  const sums = new Int8Array(d * d * 8);
  forParts(d, at, (to, from) => sums.set(new Int8Array(tables.buffer, tables.byteOffset + from, 16), to));
  return { d, sums, levels };
}

/** Where the 16 bytes of each column and pair are, in `sums` and in what is stored of the group at `at`. */
function forParts(d: number, at: number, body: (sums: number, stored: number) => void): void {
  const pairs = d / 2;
  for (let c = 0; c < d; c++) {
    for (let pair = 0; pair < pairs; pair++) {
      body((c * pairs + pair) * 16, at + 32 + (((c >> 2) * pairs + pair) * 4 + (c & 3)) * 16);
    }
  }
}

/** The integer of one column of a vector, from its nibbles [d / 2]. */
export function decodeColumn(
  { d, sums, levels }: Omit<VectorTable, "unit">,
  column: number,
  nibbles: Uint8Array,
): number {
  const pairs = d / 2;
  let y = 0;
  for (let pair = 0, at = column * pairs * 16; pair < pairs; pair++, at += 16) {
    y = Math.max(-ONE, Math.min(ONE - 1, y + (sums[at + (nibbles[pair] as number)] as number)));
  }
  return y < 0 ? -(levels[~y >> 2] as number) : (levels[y >> 2] as number);
}
