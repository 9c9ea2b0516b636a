// Rows of assembly/popcount.
import type { Kernel } from "./types.ts";

export const bitplaneGemv: Kernel = {
  name: "gemv_bitplane_bits_16x32",
  op: "gemv",
  format: "bitplane",
  activation: "bits",
  needs: "simd128",
  tile: [16, 32],
  bound:
    "bytes: 31 runs of 8 = 248, 8·15 + 8·15 = 240 <= 255; 16-bit: 2·(16·248 + 240) = 8416; 32-bit: 255·255·32768 < 2^31",
};
