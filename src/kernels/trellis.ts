// Rows of assembly/trellis.
import { gemmKernels } from "./dot.ts";
import type { Kernel, TrellisBits } from "./types.ts";

/** Products of decoded trellis codes: int8, and float32 as three passes of it. */
export function trellisKernels(bits: TrellisBits): Kernel[] {
  return (["", "_i16"] as const).flatMap((kind) => {
    const format = `trellis${bits}${kind}` as const;
    const gemvs = (["int8", "f32"] as const).map(
      (activation): Kernel => ({
        name: `gemv_${format}_${activation}_16x16`,
        export: `gemv_trellis${bits > 4 ? "_any" : ""}${kind}_int8_16x16`,
        op: "gemv",
        format,
        activation,
        needs: "simd128",
        tile: [16, 16],
        bound: kind === "" ? trellisBound : halvesBound,
      }),
    );
    return [...gemvs, ...gemmKernels(format, "int8", kind === "" ? 3 : 2), ...gemmKernels(format, "f32", 2)];
  });
}

const trellisBound = "16-bit: 2 bytes <= 510; 32-bit lanes may wrap: |Σ (b - 510)·x| <= 127·510·32768 < 2^31";
const halvesBound = "int16: 2·(2047·2^3) = 32752 <= 32767; 32-bit lanes: 127·2·32752·256 < 2^31";
