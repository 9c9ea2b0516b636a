import type { About } from "../../lib/about.ts";

export const about: About = {
  family: "signs",
  summary: "between two vectors",
  bits: "1",
  weight: "output · (±1) · input",
  scales: "row and column",
  kernels: ["binary"],
  cases: [{}],
};
