import type { About } from "../../lib/about.ts";

export const about: About = {
  family: "bit planes",
  summary: "1 to 8 bits x 1 to 8 bits",
  bits: "1 to 8 x 1 to 8",
  weight: "s · (code - zero)",
  scales: "matrix, row, group",
  kernels: ["bitplane"],
  cases: [
    { options: { bits: 2, activationBits: 4, groupSize: 64 } },
    { options: { bits: 3, encoding: "unsigned", activationBits: 8, activationEncoding: "unsigned" } },
  ],
};
