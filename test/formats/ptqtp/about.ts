import type { About } from "../../lib/about.ts";

export const about: About = {
  family: "signs",
  summary: "two planes of trits",
  bits: "4",
  weight: "α1 · t1 + α2 · t2, t trits",
  scales: "group of 128",
  kernels: ["bcq"],
  cases: [{}],
};
