import type { About } from "../../lib/about.ts";

export const about: About = {
  family: "signs",
  summary: "{-1, 0, 1}",
  bits: "2",
  weight: "s · {-1, 0, 1}",
  scales: "matrix, row, group",
  kernels: ["ternary"],
  cases: [{}, { options: { groupSize: 64 } }],
};
