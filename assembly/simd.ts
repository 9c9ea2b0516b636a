// Entry of the simd128 binary.
export { absmax, prepare_f32 } from "./lut/prepare";
export * from "./lut/binary";
export * from "./lut/ternary";
export { gemm_binary_int8_16x2, gemm_ternary_int8_16x2, prepare_panel } from "./dot/gemm";
