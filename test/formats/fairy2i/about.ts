import type { About } from "../../lib/about.ts";

export const about: About = {
  family: "complex weights",
  summary: "real weights made of them",
  bits: "1 to 4",
  weight: "Σ_t U_t x + W_t conj(x)",
  scales: "as `complex`",
  kernels: ["complex"],
  cases: [{ shape: [72, 288] }],
};
