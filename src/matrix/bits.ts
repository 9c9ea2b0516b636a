// Types of bit planes, and how a token becomes one.
import { rangeError } from "../lib/check.ts";
import { roundHalfEven } from "../numeric/scale.ts";

/** What a code u of n bits stands for: u, its two's complement, or 2u - (2^n - 1): odd integers, ±1 for one bit. */
export type Encoding = "unsigned" | "signed" | "bipolar";

export const ENCODINGS: readonly Encoding[] = ["unsigned", "signed", "bipolar"];

/** Codes of both operands. */
export interface BitplaneTypes {
  /** Of a weight: 1 to 8. */
  readonly bits: number;
  /** Of a weight. Default "bipolar". */
  readonly encoding?: Encoding;
  /** Of an activation: 1 to 8. */
  readonly activationBits: number;
  /**
   * Of an activation; "signed" takes 2 bits or more. Default "bipolar". "unsigned" is the asymmetric minimum-to-maximum
   * quantiser of ABQ-LLM; a token with negative numbers costs one plane more than one without.
   */
  readonly activationEncoding?: Encoding;
}

/** The types as the kernels take them, and for x as prepare.ts does. */
export function typesArgument(types: Required<BitplaneTypes>): number {
  const { bits, encoding, activationBits, activationEncoding } = types;
  return (
    bits | (activationBits << 4) | (ENCODINGS.indexOf(encoding) << 8) | (ENCODINGS.indexOf(activationEncoding) << 10)
  );
}

/** Refuses what typesArgument does not give. */
export function checkTypesArgument(where: string, types: number): void {
  const { bits, encoding } = activationType(types);
  for (const [name, count, what] of [
    ["bits", weightBits(types), weightEncoding(types)],
    ["activationBits", bits, encoding],
  ] as const) {
    const least = name === "activationBits" && what === "signed" ? 2 : 1;
    if (what === undefined || count < least || count > 8) throw rangeError(`${where}: ${name}`, "1 to 8 bits", count);
  }
}

/** Bits of a weight, from typesArgument. */
export function weightBits(types: number): number {
  return types & 15;
}

/** Encoding of a weight, from typesArgument. */
export function weightEncoding(types: number): Encoding {
  return ENCODINGS[(types >> 8) & 3] as Encoding;
}

/** Bits and encoding of an activation, from typesArgument. */
export function activationType(types: number): { readonly bits: number; readonly encoding: Encoding } {
  return { bits: (types >> 4) & 15, encoding: ENCODINGS[types >> 10] as Encoding };
}

/** How floats become codes: see `codeOf`. */
export interface Quantizer {
  /** Codes a unit, in float64. */
  readonly ratio: number;
  /** The code of 0; 0 if not unsigned. */
  readonly zero: number;
  /** float32: what a unit of a value is worth. */
  readonly factor: number;
}

/** What a quantiser is made from: of a token, or of a group of weights. */
export interface Range {
  /** min(0, least) */
  readonly low: number;
  /** max(0, greatest) */
  readonly high: number;
  /** mean |x|, in float64; used by one bipolar bit only. */
  readonly mean: number;
}

/**
 * bipolar: most = 2^n - 1 over amax, an odd number of half steps; one bit is worth the mean (XNOR-Net, eq. 6). signed:
 * 2^(n-1) - 1 over amax. unsigned: 2^n - 1 over high - low, with an integer zero point.
 */
export function makeQuantizer({ low, high, mean }: Range, bits: number, encoding: Encoding): Quantizer {
  const most = 2 ** bits - 1;
  if (encoding === "unsigned") {
    const range = high - low;
    const ratio = range === 0 ? 0 : most / range;
    return { ratio, zero: roundHalfEven(-low * ratio), factor: Math.fround(range / most) };
  }
  const amax = Math.max(-low, high);
  if (encoding === "bipolar") {
    return { ratio: amax === 0 ? 0 : most / 2 / amax, zero: 0, factor: Math.fround(bits === 1 ? mean : amax / most) };
  }
  const largest = 2 ** (bits - 1) - 1;
  return { ratio: amax === 0 ? 0 : largest / amax, zero: 0, factor: Math.fround(amax / largest) };
}
