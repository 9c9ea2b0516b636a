// SFC-N(R): the fast convolution of He et al. (arXiv 2407.02913) for 3 x 3 taps and stride 1. On one axis
//
//   y_i = Σ_t w_t x_{i+t} = (1/L) Σ_f A_if (G w)_f (B x)_f       i < R, B and G of 0 and ±1, L = 6 or 4
//
// The kernels have B and A (assembly/conv/sfc6.ts, sfc4.ts); here is G, by which weights are transformed once. The last rows are
// corrections: one product each, for what the circular convolution of N points gets wrong. They have the factor L here, so that
// A only adds.

/** Which one, by the outputs of a tile on one axis. */
export type SfcName = "sfc4" | "sfc6" | "sfc7";

export interface Sfc {
  readonly name: SfcName;
  readonly kernel: "conv_sfc4" | "conv_sfc6" | "conv_sfc7";
  /** Outputs of a tile on one axis. */
  readonly size: number;
  /** G [terms][3]. */
  readonly taps: readonly (readonly [number, number, number])[];
  /** |y| of an output must stay below: 2^31 / 4 for L² = 36 = 4 · 9, of which 9 has an inverse; 2^31 / 16 for L² = 16. */
  readonly bound: number;
}

const SIX = [
  [1, 1, 1],
  [1, 0, -1],
  [0, 1, 1],
  [1, 1, 0],
  [1, -1, 0],
  [0, 1, -1],
  [1, 0, -1],
  [1, -1, 1],
] as const;

export const SFC: Readonly<Record<SfcName, Sfc>> = {
  sfc4: {
    ...{ name: "sfc4", kernel: "conv_sfc4", size: 4, bound: 2 ** 27 },
    taps: [
      [1, 1, 1],
      [1, 0, -1],
      [0, 1, 0],
      [1, 1, -1],
      [1, -1, 1],
      [4, 0, 0],
      [0, 0, 4],
    ],
  },
  sfc6: {
    ...{ name: "sfc6", kernel: "conv_sfc6", size: 6, bound: 2 ** 29 },
    taps: [...SIX, [6, 0, 0], [0, 0, 6]],
  },
  sfc7: {
    ...{ name: "sfc7", kernel: "conv_sfc7", size: 7, bound: 2 ** 29 },
    taps: [...SIX, [6, 0, 0], [0, 6, 0], [0, 0, 6], [0, 0, 6]],
  },
};

/** Products for the tiles of a map, one a pair of channels: tiles at its borders are whole ones, too. */
export function sfcProducts({ size, taps }: Sfc, height: number, width: number): number {
  return Math.ceil(height / size) * Math.ceil(width / size) * taps.length * taps.length;
}

/** Of the weights: [frequency][outputs / 16][channels / 2][16][2] int16, outputs and channels padded by zeros. */
export function sfcBytes({ taps }: Sfc, outputs: number, channels: number): number {
  return taps.length * taps.length * Math.ceil(outputs / 16) * 16 * Math.ceil(channels / 8) * 8 * 2;
}

/**
 * G w Gᵀ of codes [outputs][channels][3][3]. |G w Gᵀ| <= 36 · 127 = 4572 of the product of two corrections, and 9 · 127
 * elsewhere: int16.
 */
export function transformWeights(sfc: Sfc, codes: Int8Array, outputs: number, channels: number, to: Int16Array): void {
  const { taps } = sfc;
  const terms = taps.length;
  const padded = Math.ceil(channels / 8) * 8;
  const plane = Math.ceil(outputs / 16) * 16 * padded;
  to.fill(0);
  const rows = new Int32Array(terms * 3);
  for (let k = 0; k < outputs; k++) {
    for (let c = 0; c < channels; c++) {
      const at = (k * channels + c) * 9;
      for (let a = 0; a < terms; a++) {
        const [g0, g1, g2] = taps[a] as readonly [number, number, number];
        for (let x = 0; x < 3; x++) {
          rows[a * 3 + x] =
            g0 * (codes[at + x] as number) + g1 * (codes[at + 3 + x] as number) + g2 * (codes[at + 6 + x] as number);
        }
      }
      const place = (k >> 4) * 16 * padded + (c >> 1) * 32 + (k & 15) * 2 + (c & 1);
      for (let a = 0; a < terms; a++) {
        const [r0, r1, r2] = [rows[a * 3] as number, rows[a * 3 + 1] as number, rows[a * 3 + 2] as number];
        for (let b = 0; b < terms; b++) {
          const [g0, g1, g2] = taps[b] as readonly [number, number, number];
          to[(a * terms + b) * plane + place] = g0 * r0 + g1 * r1 + g2 * r2;
        }
      }
    }
  }
}
