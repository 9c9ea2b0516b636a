import type { About } from "../../lib/about.ts";

export const about: About = {
  family: "signs",
  summary: "any ratio of bits",
  bits: "1.25 to 4, any ratio",
  weight: "s · (±1) M T",
  scales: "row",
  kernels: ["binary"],
  cases: [{ options: { bits: 2, beam: 4 }, shape: [48, 144] }],
};
