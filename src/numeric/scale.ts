// What the quantisers share: rounding, and scales that neither vanish nor overflow.

/** The largest finite float32. */
const FLOAT32_MAX = (2 - 2 ** -23) * 2 ** 127;

/** The smallest positive float32, of which denormal ones are multiples. */
export const FLOAT32_TINY = 2 ** -149;

/** The smallest float32 of 24 bits. */
export const FLOAT32_NORMAL = 2 ** -126;

/** Weights that a quantiser treats between two yields: about a millisecond of its work. */
export const STEP = 1 << 17;

/** Added to a float64 of magnitude below 2^51, this leaves no bits for a fraction: the addition rounds half to even. */
export const ROUNDER = 1.5 * 2 ** 52;

/** To the nearest integer, ties to the even one; |value| below 2^51. */
export function roundHalfEven(value: number): number {
  return value + ROUNDER - ROUNDER;
}

/** fround(extent / levels), but 0 only for extent 0: else at least the smallest float32, of the same sign. */
export function float32Scale(extent: number, levels: number): number {
  if (extent === 0) return 0;
  const scale = Math.fround(extent / levels);
  if (scale !== 0) return scale;
  return extent > 0 === levels > 0 ? FLOAT32_TINY : -FLOAT32_TINY;
}

/**
 * As float32Scale, but rounded up where float32 is denormal: a rounded scale is off by up to 2^-150 and the largest code by as
 * many times that as it has steps, which it would be short of. Codes that follow the scale lose half of its excess instead.
 */
export function coveringScale(extent: number, levels: number): number {
  const scale = float32Scale(extent, levels);
  if (Math.abs(scale) >= FLOAT32_NORMAL || scale === 0) return scale;
  return Math.sign(scale) * Math.ceil(Math.abs(extent / levels) / FLOAT32_TINY) * FLOAT32_TINY;
}

/** The scale, or one below it whose product with `levels` is a finite float32: so every code stands for a finite weight. */
export function limitScale(scale: number, levels: number): number {
  if (Number.isFinite(Math.fround(scale * levels))) return scale;
  // The factor makes up for fround, which may round upwards by as much.
  return Math.sign(scale) * Math.fround((FLOAT32_MAX * (1 - 2 ** -24)) / levels);
}
