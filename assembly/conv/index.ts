// Entry of the binaries of lowbit/conv, simd128 and relaxed.
export { conv_absmax, conv_dequantize, conv_map_bytes, conv_quantize } from "./activations";
export { conv_depthwise } from "./depthwise";
export { conv_direct } from "./direct";
export { conv_sfc4 } from "./sfc4";
export { conv_sfc6, conv_sfc7 } from "./sfc6";
