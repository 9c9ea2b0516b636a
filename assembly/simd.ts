// Entry of the simd128 binary.
export { branch_add, prepare_lowrank, prepare_scaled } from "./branch/branch";
export { gemv_codebook2_int8_16x8, gemv_codebook3_int8_16x8, gemv_codebook4_int8_16x8 } from "./codebook/bytes";
export * from "./codebook/int16";
export * from "./codebook/rows";
export { combine_digits } from "./dot/digits";
export { gemm_int8_16x2, gemm_wide_16x2 } from "./dot/gemm";
export * from "./dot/prepare";
export {
  gemv_uniform3_int8_16x8, gemv_uniform4_int8_16x8, gemv_uniform5_int8_16x8, gemv_uniform6_int8_16x8,
  gemv_uniform8_int8_32x8,
} from "./dot/uniform";
export { gemv_uniform2_int8_16x8, gemv_uniform2_int8_16x8_mul } from "./dot/uniform2";
export {
  gemv_binary_f32_16x8, gemv_binary_int8_32x8, gemv_binary_lut8_64x8, prepare_binary_int8, prepare_binary_lut8,
} from "./lut/binary";
export { absmax, prepare_f32, prepare_fixed, prepare_float_sums } from "./lut/prepare";
export * from "./lut/ternary";
export * from "./dense/dense";
export { nan_negative, spin } from "./machine";
export {
  gemv_complex_f32_16x8, gemv_complex_int8_32x8, gemv_complex_lut8_32x8, prepare_complex_lut8,
} from "./pair/complex";
export { gemm_complex_int8_16x2 } from "./pair/gemm";
export { finish_complex } from "./pair/sums";
export { model_append, model_attend } from "./model/attention";
export { model_add, model_gate, model_scale, model_soft_cap } from "./model/gate";
export { model_layer_norm, model_rms_norm } from "./model/norm";
export { model_rope } from "./model/rope";
export { model_route } from "./model/route";
export { gemv_bitplane_bits_16x32 } from "./popcount/bitplane";
export { abs_sum, least, prepare_bitplane_bits } from "./popcount/prepare";
export { gemv_pvq16_int8_4x16, gemv_pvq8_int8_4x8 } from "./pvq/pvq";
export { transform_hadamard } from "./transform/hadamard";
export { transform_product } from "./transform/product";
export { transform_signs } from "./transform/signs";
export * from "./trellis/gemv";
export { gemv_e81b_int8_16x8 } from "./vq/e81b";
export { gemv_e8p_int8_16x8 } from "./vq/e8p";
export { gemv_glvq_int8_16x4 } from "./vq/glvq";
export { prepare_lattice } from "./vq/prepare";
