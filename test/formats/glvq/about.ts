import type { About } from "../../lib/about.ts";

export const about: About = {
  family: "vectors",
  summary: "of learned lattices",
  bits: "2, 3, 4",
  weight: "s · G z, s · a · F⁻¹(G z)",
  scales: "row",
  kernels: ["glvq"],
  cases: [
    { options: { bits: 2 }, shape: [48, 144] },
    { options: { bits: 3, groupSize: 32 }, shape: [48, 144] },
    { options: { mu: 30 }, shape: [48, 144] },
  ],
};
