// Rows of assembly/popcount: bit planes.
import type { Core, Format, Kernel } from "./row.ts";

// 8 bits by 8 bits: 255·255·32768 < 2^31.
const MAX_BITS_GROUP = 32768;

const formats = {
  bitplane: { layout: "bits", bits: 1, chunk: 32, maxGroup: MAX_BITS_GROUP, operand: "bits" },
} as const satisfies Record<string, Format>;

const bitplaneGemv: Kernel = {
  name: "gemv_bitplane_bits_16x32",
  op: "gemv",
  format: "bitplane",
  activation: "bits",
  needs: "simd128",
  tile: [16, 32],
  bound:
    "bytes: 31 runs of 8 = 248, 8·15 + 8·15 = 240 <= 255; 16-bit: 2·(16·248 + 240) = 8416; 32-bit: 255·255·32768 < 2^31",
};

export const popcount: Core<keyof typeof formats> = {
  formats,
  kernels: [
    bitplaneGemv,
    {
      ...bitplaneGemv,
      name: "gemv_bitplane_bits_16x32_cnt",
      needs: "relaxed",
      popcnt: "native",
      bound: "bytes: 4 words of 8 = 32 <= 255; 16-bit: 2·8·496 = 7936 <= 32767; 32-bit: 255·255·32768 < 2^31",
    },
  ],
  kinds: {},
};
