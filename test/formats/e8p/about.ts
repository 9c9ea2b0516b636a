import type { About } from "../../lib/about.ts";

export const about: About = {
  family: "vectors",
  summary: "points of the lattice E8",
  bits: "2, 3, 4",
  weight: "rotated: s · points of E8",
  scales: "matrix",
  kernels: ["e8p"],
  cases: [
    { options: { bits: 2 }, shape: [48, 144] },
    { options: { bits: 3 }, shape: [48, 144] },
  ],
};
