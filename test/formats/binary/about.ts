import type { About } from "../../lib/about.ts";

export const about: About = {
  family: "signs",
  summary: "one",
  bits: "1",
  weight: "s · ±1",
  scales: "matrix, row, group",
  kernels: ["binary"],
  cases: [{}, { options: { groupSize: 64 } }],
};
