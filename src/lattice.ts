// lowbit/lattice: nearest points of lattices, and rounding with feedback. TypeScript only: no WebAssembly is loaded.
export { type GptqOptions, type GptqResult, gptq, gptqAsync, hessianOf, type Quantizer } from "./lattice/gptq.ts";
export { type BabaiLattice, babai, nearestD, nearestE8, nearestZ } from "./lattice/points.ts";
export { nearestPyramid, pyramidIndex, pyramidSize, pyramidVector } from "./lattice/pyramid.ts";
export {
  type GlvqQuantizer,
  type GlvqQuantizerOptions,
  glvqQuantizer,
  type LatticeQuantizer,
  type LatticeQuantizerOptions,
  latticeQuantizer,
  type PvqQuantizer,
  type PvqQuantizerOptions,
  pvqQuantizer,
  type TableQuantizer,
  type TableQuantizerOptions,
  tableQuantizer,
  type UniformQuantizer,
  type UniformQuantizerOptions,
  uniformQuantizer,
} from "./lattice/quantizers.ts";
export type { ProgressOptions } from "./progress.ts";
