// WebAssembly SIMD kernels for neural networks whose weights have 1 to 4 bits. Nothing happens on import: see init().
export { OutOfMemoryError, UnsupportedRuntimeError } from "./errors.ts";
export type { Features } from "./features.ts";
export * as binary from "./formats/binary.ts";
export * as ternary from "./formats/ternary.ts";
export { type InitOptions, init, initSync, type Lowbit, type ModuleSource } from "./init.ts";
export type { Matrix } from "./matrix.ts";
export type { MemoryUse } from "./memory.ts";
export type { Activation, Variant } from "./registry.ts";
