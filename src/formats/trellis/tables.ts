// The computed codebooks of QTIP (Tseng et al. 2024, arXiv 2406.11235) and EXL3: from a 16-bit state to a weight.
import { exponentOf, powerOfTwo } from "../../numeric/elementary.ts";

/** "3inst" and "1mad" are QTIP's, "mcg" and "mul1" those that exllamav3 added; EXL3 has "3inst", "mcg" and "mul1". */
export type TrellisCodebook = "3inst" | "mcg" | "mul1" | "1mad";

export const TRELLIS_CODEBOOKS: readonly TrellisCodebook[] = ["3inst", "mcg", "mul1", "1mad"];

export interface Codebook {
  /** y = multiplier · state + addend modulo 2^32 */
  readonly multiplier: number;
  readonly addend: number;
  /** Whether the weight is the sum of two float16 made of the halves of y, or that of its four bytes less 510. */
  readonly halves: boolean;
  /** weight = unit · integer + offset */
  readonly unit: number;
  readonly offset: number;
}

/** float16 1EEE and C931, by which mul1 scales and shifts 1024 + the sum of bytes. */
const MUL1_UNIT = 1774 / 2 ** 18;
const MUL1_OFFSET = -10.3828125;

export const CODEBOOKS: Readonly<Record<TrellisCodebook, Codebook>> = {
  "3inst": { multiplier: 89226354, addend: 64248484, halves: true, unit: 2 ** -13, offset: 0 },
  mcg: { multiplier: 0xcbac1fed, addend: 0, halves: true, unit: 2 ** -13, offset: 0 },
  mul1: {
    multiplier: 0x83dcd12d,
    addend: 0,
    halves: false,
    unit: MUL1_UNIT,
    offset: (1024 + 510) * MUL1_UNIT + MUL1_OFFSET,
  },
  "1mad": { multiplier: 34038481, addend: 76625530, halves: false, unit: 1 / 147.800537109375, offset: 0 },
};

export const STATES = 65536;

// (1024 + mantissa) · 2^(exponent - 25) in units of 2^-13: the exponent of what the codebook makes is 12 to 15.
function half(bits: number): number {
  const magnitude = (1024 + (bits & 1023)) << (((bits >> 10) & 31) - 12);
  return bits & 0x8000 ? -magnitude : magnitude;
}

const integers = /* @__PURE__ */ new Map<TrellisCodebook, Int16Array>();
/** The integer of each state. */
export function trellisIntegers(name: TrellisCodebook): Int16Array {
  const known = integers.get(name);
  if (known) return known;
  const { multiplier, addend, halves } = CODEBOOKS[name];
  const table = Int16Array.from({ length: STATES }, (_, state) => {
    const y = (Math.imul(state, multiplier) + addend) | 0;
    if (!halves) return (y & 255) + ((y >> 8) & 255) + ((y >> 16) & 255) + (y >>> 24) - 510;
    const both = (y & 0x8fff8fff) ^ 0x3b603b60;
    return half(both >>> 16) + half(both & 0xffff);
  });
  integers.set(name, table);
  return table;
}

/** Bits of the float16 nearest to x, ties to even; |x| from 2^-24 to below 65520, or 0. */
function toHalf(x: number): number {
  const sign = x < 0 || Object.is(x, -0) ? 0x8000 : 0;
  const magnitude = Math.abs(x);
  if (magnitude === 0) return sign;
  const exponent = Math.max(-14, exponentOf(magnitude));
  const scaled = magnitude * powerOfTwo(10 - exponent);
  const below = Math.floor(scaled);
  const rest = scaled - below;
  const mantissa = rest > 0.5 || (rest === 0.5 && below & 1) ? below + 1 : below;
  // A mantissa that was rounded up to the next power of two carries into the exponent, as it should.
  return sign | (((exponent + 14) << 10) + mantissa);
}

/**
 * The weights as exllamav3 has them, bits of float16: what kernels multiply by is the sum before it is rounded to these,
 * which differs by 2^-11 of it at most.
 */
export function trellisHalves(name: TrellisCodebook): Uint16Array {
  const { unit, offset } = CODEBOOKS[name];
  return Uint16Array.from(trellisIntegers(name), (integer) => toHalf(integer * unit + offset));
}
