// lowbit/lattice: nearest points of lattices, and rounding with feedback. TypeScript only: no WebAssembly is loaded.

export { type TableQuantizer, type TableQuantizerOptions, tableQuantizer } from "./formats/codebook/quantizer.ts";
export { type GlvqQuantizer, type GlvqQuantizerOptions, glvqQuantizer } from "./formats/glvq/quantizer.ts";
export { type PvqQuantizer, type PvqQuantizerOptions, pvqQuantizer } from "./formats/pvq/quantizer.ts";
export { type UniformQuantizer, type UniformQuantizerOptions, uniformQuantizer } from "./formats/uniform/quantizer.ts";
export type { ProgressOptions } from "./lib/progress.ts";
export { type GptqOptions, type GptqResult, gptq, gptqAsync, hessianOf, type Quantizer } from "./numeric/gptq.ts";
export { type LatticeQuantizer, type LatticeQuantizerOptions, latticeQuantizer } from "./numeric/lattice-quantizer.ts";
export { type BabaiLattice, babai, nearestD, nearestE8, nearestZ } from "./numeric/points.ts";
export { nearestPyramid, pyramidIndex, pyramidSize, pyramidVector } from "./numeric/pyramid.ts";
