// Entry of the relaxed-simd binary: the same sources and names, and what exists only with relaxed operations.
export * from "./simd";
export { gemm_binary_int8_16x2_i32, gemm_ternary_int8_16x2_i32 } from "./dot/gemm";
export { dot_bits, probe } from "./probe";
