import type { About } from "../../lib/about.ts";

export const about: About = {
  family: "signs",
  summary: "{-1, 0, 1}",
  bits: "2",
  weight: "s · {-1, 0, 1}",
  scales: "matrix, row, group",
  kernels: ["ternary"],
  cases: [{}, { options: { groupSize: 64 } }],
  imports: {
    fromBitnet:
      "BitNet b1.58 as Hugging Face packs it: four blocks of rows in a byte, a scale that divides or multiplies",
    fromI2s: "microsoft/BitNet's I2_S, in the layout of its three that the caller names",
  },
};
