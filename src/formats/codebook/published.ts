// The tables of published 4-bit codebooks, by code: w = scale · table[code].

/**
 * E2M1 (OCP Microscaling Formats 1.0, table 5) times two, so that it is whole numbers: scales are half the published ones.
 * Code 8 is -0, a second zero.
 */
export const E2M1_DOUBLED: readonly number[] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

/** NF4 (QLoRA, Dettmers et al. 2023, appendix E): float32 values. */
export const NF4: readonly number[] = [
  -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
  -0.09105003625154495, 0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
  0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1,
];

/**
 * The FP4 of bitsandbytes: 0, 1/16, 8, 12, 4, 6, 2, 3 in twelfths, then the same negative, rounded to float32. Its second
 * code is 1/192, and its order is not that of E2M1.
 */
export const BNB_FP4: readonly number[] = [1, -1].flatMap((sign) =>
  [0, 1 / 16, 8, 12, 4, 6, 2, 3].map((v) => (v === 0 ? 0 : Math.fround((sign * v) / 12))),
);
