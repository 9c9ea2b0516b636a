import type { About } from "../../lib/about.ts";

export const about: About = {
  family: "numbers",
  summary: "float32, float16, bfloat16",
  bits: "16, 32",
  weight: "as it is",
  scales: "none",
  kernels: ["dense32"],
  cases: [],
};
