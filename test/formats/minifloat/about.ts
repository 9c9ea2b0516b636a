import type { About } from "../../lib/about.ts";

export const about: About = {
  family: "codes",
  summary: "4 to 8 bits with an exponent: FP6, FP8, MXFP6, MXFP8, LLM-FP4",
  bits: "4, 5, 6, 8",
  weight: "s · (sign, e, m)",
  scales: "matrix, row, group",
  kernels: ["minifloat6", "minifloat_e4m3"],
  cases: [
    { options: { type: "e2m3", groupSize: 32, scaleType: "e8m0" } },
    { options: { type: "e3m2", groupSize: 32 } },
    { options: { type: "e2m2" } },
    { options: { type: "e3m1", groupSize: 64, scaleType: "float16" } },
    { options: { type: "e2m1", groupSize: 16, bias: "search" } },
    { options: { type: "e3m0" } },
    { options: { type: "e4m3", groupSize: 32, scaleType: "e8m0" } },
    { options: { type: "e5m2" } },
  ],
  imports: {
    fromFp8: "FP8 (E4M3, E5M2): one scale, one a row, or `weight_scale_inv` of blocks of 128 x 128",
  },
};
