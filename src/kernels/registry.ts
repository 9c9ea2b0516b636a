import { INDEX_BITS } from "./codebook.ts";
import { denseKernels } from "./dense.ts";
import { dotGemms, dotKernels, gemmKernels, UNIFORM_DEPTH, wideBound } from "./dot.ts";
import { planeKernels } from "./lut.ts";
import { complexKernels } from "./pair.ts";
import { bitplaneGemv } from "./popcount.ts";
import { vectorKernels } from "./pvq.ts";
import { trellisKernels } from "./trellis.ts";
import {
  type Activation,
  type FormatName,
  type Kernel,
  type Machine,
  TRELLIS_BITS,
  UNIFORM_BITS,
  type Variant,
} from "./types.ts";
import { e8pBound, e81bBound, glvqKernels, latticeKernels } from "./vq.ts";

const bytesBound = "16-bit lanes: 4 steps of 2·127·32 = 32512 <= 32767, or 1 of 2·127·127 for larger entries";

export const kernels: readonly Kernel[] = [
  ...planeKernels("binary"),
  ...dotKernels("ternary", [16, 8], UNIFORM_DEPTH[2], "uniform2"),
  {
    name: "gemv_ternary_lut8_64x8",
    op: "gemv",
    format: "ternary",
    activation: "lut8",
    needs: "simd128",
    tile: [64, 8],
    bound: "bytes: |low| + |high| <= 127; 16-bit: 32·2·127 = 8128 <= 32767; 32-bit: 4096·2·127·2047 < 2^31",
  },
  ...planeKernels("bcq"),
  ...complexKernels(),
  bitplaneGemv,
  {
    ...bitplaneGemv,
    name: "gemv_bitplane_bits_16x32_cnt",
    needs: "relaxed",
    popcnt: "native",
    bound: "bytes: 4 words of 8 = 32 <= 255; 16-bit: 2·8·496 = 7936 <= 32767; 32-bit: 255·255·32768 < 2^31",
  },
  ...UNIFORM_BITS.flatMap((bits) => dotKernels(`uniform${bits}`, [bits === 8 ? 32 : 16, 8], UNIFORM_DEPTH[bits])),
  ...gemmKernels("binary", "int8", Number.POSITIVE_INFINITY, 16),
  ...dotGemms("ternary"),
  ...UNIFORM_BITS.flatMap((bits) => dotGemms(`uniform${bits}`)),
  ...INDEX_BITS.flatMap((bits) => dotGemms(`codebook${bits}`)),
  ...INDEX_BITS.flatMap((bits) => dotGemms(`codebook${bits}_i16`)),
  ...INDEX_BITS.flatMap((bits) => dotGemms(`codebook${bits}_rows`)),
  ...INDEX_BITS.flatMap((bits) => dotKernels(`codebook${bits}`, [16, 8], bytesBound)),
  ...INDEX_BITS.flatMap((bits) => dotKernels(`codebook${bits}_i16`, [16, 8], wideBound)),
  ...INDEX_BITS.flatMap((bits) => dotKernels(`codebook${bits}_rows`, [16, 8], wideBound)),
  ...latticeKernels("e8p", e8pBound),
  ...latticeKernels("e81b", e81bBound),
  ...gemmKernels("e8p", "int8", 3),
  ...gemmKernels("e8p", "f32", 2),
  ...gemmKernels("e81b", "int8", 4),
  ...gemmKernels("e81b", "f32", 2),
  ...glvqKernels("int8"),
  ...glvqKernels("f32"),
  ...gemmKernels("glvq", "int8", 2),
  ...gemmKernels("glvq", "f32", 2),
  ...vectorKernels(8),
  ...vectorKernels(16),
  ...gemmKernels("pvq8", "int8", 3),
  ...gemmKernels("pvq8", "f32", 2),
  ...gemmKernels("pvq16", "int8", 3),
  ...gemmKernels("pvq16", "f32", 2),
  ...TRELLIS_BITS.flatMap(trellisKernels),
  ...denseKernels("dense32"),
  ...denseKernels("dense16"),
  ...denseKernels("denseb16"),
];

/** The rows that can do a job on a variant, the default first. */
export function candidates(
  op: Kernel["op"],
  format: FormatName,
  activation: Activation,
  variant: Variant,
): readonly Kernel[] {
  return kernels.filter(
    (k) =>
      k.op === op &&
      k.format === format &&
      k.activation === activation &&
      (k.needs === "simd128" || variant === "relaxed"),
  );
}

/** Of the rows that can do a job the one that suits a machine. Only twins ask what machine it is. */
export function suitable(rows: readonly Kernel[], machine: Machine): Kernel | undefined {
  return (
    rows.find(({ dot, popcnt }) => (dot && dot === machine.dot) || (popcnt && popcnt === machine.popcnt)) ?? rows[0]
  );
}

/** The name of a kernel's export. */
export function exportOf(kernel: Kernel): string {
  return kernel.export ?? kernel.name;
}
