import type { About } from "../../lib/about.ts";

export const about: About = {
  family: "vectors",
  summary: "of a pyramid",
  bits: "2, 4",
  weight: "s · y, y integer, Σ abs y = K",
  scales: "matrix, row, group",
  kernels: ["pvq16"],
  cases: [
    { options: { bits: 2 }, shape: [48, 144] },
    { options: { groupSize: 64 } },
    { options: { bits: 4, rotate: true }, shape: [48, 144] },
  ],
};
