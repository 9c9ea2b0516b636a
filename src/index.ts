// WebAssembly SIMD kernels for neural networks whose weights have 1 to 8 bits. Nothing happens on import: see init().
export type { Branches, SparseBranch } from "./branches.ts";
export { OutOfMemoryError, UnsupportedRuntimeError } from "./errors.ts";
export type { Features } from "./features.ts";
export * as bcq from "./formats/bcq.ts";
export * as binary from "./formats/binary.ts";
export * as bitplane from "./formats/bitplane.ts";
export * as codebook from "./formats/codebook.ts";
export * as onebit from "./formats/onebit.ts";
export * as ptqtp from "./formats/ptqtp.ts";
export * as ternary from "./formats/ternary.ts";
export * as uniform from "./formats/uniform.ts";
export { type InitOptions, init, initSync, type Lowbit, type ModuleSource } from "./init.ts";
export type { Matrix } from "./matrix.ts";
export type { MemoryUse } from "./memory.ts";
export type { ProgressOptions } from "./progress.ts";
export type { Encoding } from "./quantize/bitplane.ts";
export type { Activation, IndexBits, UniformBits, Variant } from "./registry.ts";
