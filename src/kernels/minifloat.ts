// Rows of assembly/minifloat: numbers of 5, 6 and 8 bits with an exponent. Those of 4 bits are rows of codebook.ts.
import { gemmKernels, wideBound } from "./gemm.ts";
import { type Core, type Format, type Kernel, MAX_DOT_GROUP } from "./row.ts";

// Magnitudes up to 448: 127·448·32768 < 2^31. Of E4M3 times 512: 127·448·512·64 < 2^31.
const MAX_WIDE_GROUP = 32768;
const MAX_E4M3_GROUP = 64;

const codes = { layout: "words", maxGroup: MAX_DOT_GROUP, operand: "quads" } as const;
const wide = { ...codes, maxGroup: MAX_WIDE_GROUP, wide: true } as const;

const formats = {
  minifloat5: { ...codes, bits: 5, chunk: 32, kind: "MINIFLOAT5" },
  minifloat6: { ...codes, bits: 6, chunk: 16, kind: "MINIFLOAT6" },
  minifloat5_i16: { ...wide, bits: 5, chunk: 32, kind: "MINIFLOAT5_I16" },
  minifloat6_i16: { ...wide, bits: 6, chunk: 16, kind: "MINIFLOAT6_I16" },
  minifloat_e4m3i: { layout: "words", bits: 8, chunk: 8, maxGroup: MAX_E4M3_GROUP, operand: "wide" },
  minifloat_e4m3: { layout: "words", bits: 8, chunk: 8, operand: "floats" },
  minifloat_e5m2: { layout: "words", bits: 8, chunk: 8, operand: "floats" },
} as const satisfies Record<string, Format>;

const oneBound = "16-bit lanes: 2 steps of 2·127·63 = 32004 <= 32767";
const twoBound = `${oneBound}, below 64 and eighths above apart; 32-bit: 127·448·32768 < 2^31`;
const exactBound = "16-bit: 15·2^7 = 1920 <= 32767; 32-bit lanes: 127·448·512·64 < 2^31";

/** int8, and float32 as three passes of it; the twin with sums in 32-bit lanes. */
function codeKernels(name: "minifloat5" | "minifloat6" | "minifloat5_i16" | "minifloat6_i16"): Kernel[] {
  const { bits, chunk } = formats[name];
  const bound = name.endsWith("_i16") ? twoBound : oneBound;
  const gemvs = (["int8", "f32"] as const).flatMap((activation): Kernel[] => {
    const row: Kernel = {
      name: `gemv_${name}_${activation}_16x${chunk}`,
      export: `gemv_${name}_int8_16x${chunk}`,
      op: "gemv",
      format: name,
      activation,
      needs: "simd128",
      tile: [16, chunk],
      bound: `${bound} (${bits} bits)`,
    };
    const i32 = { name: `${row.name}_i32`, export: `${row.export}_i32`, needs: "relaxed", dot: "i32" } as const;
    return [row, { ...row, ...i32, bound: wideBound }];
  });
  return [...gemvs, ...gemmKernels(name, formats[name], "int8", 4), ...gemmKernels(name, formats[name], "f32", 2)];
}

function floatKernel(format: "minifloat_e4m3" | "minifloat_e5m2"): Kernel {
  const bound = "none: float32 sums in blocks of 256 columns";
  return {
    name: `gemv_${format}_f32_16x4`,
    op: "gemv",
    format,
    activation: "f32",
    needs: "simd128",
    tile: [16, 4],
    bound,
  };
}

const unpack = (bits: 5 | 6, two: boolean, centre: number) => ({
  from: { "minifloat/minifloat": ["unpackMinifloat"] },
  text: `unpackMinifloat(w, row, byteCols, begin, height, n, out, extra, ${bits}, ${two}, ${centre})`,
});

export const minifloat: Core<keyof typeof formats> = {
  formats,
  kernels: [
    ...codeKernels("minifloat5"),
    ...codeKernels("minifloat6"),
    ...codeKernels("minifloat5_i16"),
    ...codeKernels("minifloat6_i16"),
    {
      name: "gemv_minifloat_e4m3i_int8_16x4",
      op: "gemv",
      format: "minifloat_e4m3i",
      activation: "int8",
      needs: "simd128",
      tile: [16, 4],
      bound: exactBound,
    },
    floatKernel("minifloat_e4m3"),
    floatKernel("minifloat_e5m2"),
  ],
  kinds: {
    // w + 32, |w| <= 28 (E2M2)
    MINIFLOAT5: { codes: "bytes", centre: 32, largest: 60, unpack: unpack(5, false, 32) },
    // w + 64, |w| <= 60 (E2M3)
    MINIFLOAT6: { codes: "bytes", centre: 64, largest: 124, unpack: unpack(6, false, 64) },
    MINIFLOAT5_I16: { codes: "int16", centre: 0, unpack: unpack(5, true, 0) },
    MINIFLOAT6_I16: { codes: "int16", centre: 0, unpack: unpack(6, true, 0) },
  },
};
