// Which algorithm computes a layer. All give the same bits, so this is about time and memory alone.
import { rangeError } from "../lib/check.ts";
import type { Operand } from "./record.ts";
import { SFC, type Sfc, sfcBytes, sfcProducts } from "./sfc.ts";
import type { Shape } from "./shape.ts";

export type Algorithm = "direct" | "depthwise" | "sfc4" | "sfc6" | "sfc7";
export const ALGORITHMS: readonly Algorithm[] = ["direct", "depthwise", "sfc4", "sfc6", "sfc7"];

/** A map of which nothing is known: sizes at which tiles of 6 and of 7 fall about as well. */
const USUAL_MAP = 84;

/**
 * Channels, in and out, from which the transforms of a tile take less than the products that they save. Products of int16 take
 * twice the time of products of bytes, so that beside bytes more must be saved.
 */
const LEAST_CHANNELS: Readonly<Record<Operand, number>> = { wide: 16, signed: 64, unsigned: 32 };

/** Transformed weights beyond this come from memory for every block of tiles; only int16 is slower still. */
const MOST_BYTES: Readonly<Record<Operand, number>> = { wide: 2 ** 28, signed: 2 ** 25, unsigned: 2 ** 25 };

/** What a layer asks for. */
export interface Wanted {
  readonly shape: Shape;
  readonly operand: Operand;
  /** Height and width of the output, where they are known. */
  readonly map: readonly [number, number] | undefined;
  /** The largest |Σ (x - zero) w| of an output. */
  readonly most: number;
}

/** Why an algorithm cannot compute a layer, if it cannot. */
export function refusal(algorithm: Algorithm, { shape, most }: Wanted): string | undefined {
  const { groups, inChannels, outChannels, kernelY, kernelX, strideY, strideX, dilationY, dilationX } = shape;
  if (algorithm === "direct") return undefined;
  if (algorithm === "depthwise") {
    return groups === inChannels && groups === outChannels ? undefined : "as many groups as channels in and out";
  }
  if (kernelY !== 3 || kernelX !== 3) return "a kernel of 3 x 3";
  if (strideY * strideX !== 1 || dilationY * dilationX !== 1 || shape.spreadY * shape.spreadX !== 1)
    return "stride 1 and dilation 1";
  if (groups !== 1) return "one group";
  const { bound } = SFC[algorithm];
  return most < bound ? undefined : `sums below ${bound} (the largest could be ${most})`;
}

/** The algorithm for a layer: the forced one, or the one that should be fastest. */
export function choose(where: string, wanted: Wanted, forced: Algorithm | undefined): Algorithm {
  if (forced !== undefined) {
    const reason = refusal(forced, wanted);
    if (reason !== undefined)
      throw rangeError(`${where}: algorithm`, `${reason} for ${JSON.stringify(forced)}`, "others");
    return forced;
  }
  const { shape, operand, map = [USUAL_MAP, USUAL_MAP] } = wanted;
  if (refusal("depthwise", wanted) === undefined && shape.groups > 1) return "depthwise";
  const { inChannels, outChannels } = shape;
  if (Math.min(inChannels, outChannels) < LEAST_CHANNELS[operand]) return "direct";
  const fits = (["sfc6", "sfc7", "sfc4"] as const)
    .filter((name) => refusal(name, wanted) === undefined)
    .map((name): Sfc => SFC[name])
    .filter((sfc) => sfcBytes(sfc, outChannels, inChannels) <= MOST_BYTES[operand]);
  // Of two with the same number of products the first.
  const products = (sfc: Sfc): number => sfcProducts(sfc, map[0], map[1]);
  const best = fits.reduce<Sfc | undefined>(
    (least, one) => (least === undefined || products(one) < products(least) ? one : least),
    undefined,
  );
  // On small maps what hangs over the border costs more than is saved.
  const saves = best && products(best) * (operand === "wide" ? 1 : 2) < 0.75 * 9 * map[0] * map[1];
  return best && saves ? best.name : "direct";
}
