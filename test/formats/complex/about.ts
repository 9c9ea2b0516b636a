import type { About } from "../../lib/about.ts";

export const about: About = {
  family: "complex weights",
  summary: "{±1, ±i}",
  bits: "2 a complex weight",
  weight: "s_re · ±1, s_im · ±i",
  scales: "matrix, row, group, tile",
  kernels: ["complex"],
  cases: [{}, { options: { conjugate: "x", scale: "row", groupSize: 64 } }],
  imports: {
    fromIfairy:
      'iFairy: `weight_real`, `weight_imag` in bfloat16 or float32, quantised as the model does; conjugate `"x"`',
    fromIfairyBlocks: "its llama.cpp port: 68 bytes for 256 weights, in runs of 32 or 16 bytes (`run`)",
  },
};
