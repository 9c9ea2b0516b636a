import type { About } from "../../lib/about.ts";

export const about: About = {
  family: "signs",
  summary: "1 to 8 planes",
  bits: "1 to 8",
  weight: "Σ_b α_b · (±1) + offset",
  scales: "matrix, row, group",
  kernels: ["bcq"],
  cases: [{ options: { bits: 1, groupSize: 128 } }, { options: { bits: 3, groupSize: 64, offset: true } }],
};
