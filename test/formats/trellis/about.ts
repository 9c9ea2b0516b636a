import type { About } from "../../lib/about.ts";

export const about: About = {
  family: "vectors",
  summary: "QTIP, EXL3",
  bits: "1 to 8",
  weight: "rotated: s · hash of 16 bits",
  scales: "row",
  kernels: ["trellis2"],
  cases: [
    { options: { bits: 2, search: 8 }, shape: [128, 128] },
    { options: { bits: 3, codebook: "mcg", search: 8 }, shape: [128, 128] },
  ],
};
