// Entry of the relaxed binary: what the other has, compiled with relaxed operations, and what needs them.
export {
  gemv_codebook2_int8_16x8_i32, gemv_codebook3_int8_16x8_i32, gemv_codebook4_int8_16x8_i32,
} from "./codebook/bytes";
export { gemm_int8_16x2_i32 } from "./dot/gemm";
export {
  gemv_uniform3_int8_16x8_i32, gemv_uniform4_int8_16x8_i32, gemv_uniform5_int8_16x8_i32, gemv_uniform6_int8_16x8_i32,
} from "./dot/uniform";
export { gemv_uniform2_int8_16x8_i32 } from "./dot/uniform2";
export { gemm_complex_int8_16x2_i32 } from "./pair/gemm";
export { gemv_bitplane_bits_16x32_cnt } from "./popcount/bitplane";
export { dot_bits, popcnt_native, probe } from "./probe";
export * from "./simd";
