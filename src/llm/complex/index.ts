/**
 * lowbit/complex: what a complex transformer computes between its linear layers, as iFairy defines it (Wang et al.,
 * arXiv:2508.05571; published code PKU-LLM-DS-LAB/Fairy-plus-minus-i). Plain loops: float64 inside, rounded to float32 once.
 */
export type { ComplexArray } from "../../lib/complex-array.ts";
export { attend, scores } from "./attention.ts";
export { gate } from "./gate.ts";
export { rmsNorm } from "./norm.ts";
export { type RopeOptions, rope } from "./rope.ts";
export type { HeadOptions } from "./tokens.ts";
