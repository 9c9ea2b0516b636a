// Rows of assembly/trellis: hashes of streams of codes.
import { gemmKernels } from "./gemm.ts";
import { type Core, type Format, type Kernel, TRELLIS_BITS, type TrellisBits } from "./row.ts";

// Sums of bytes: 127·510·32768 < 2^31; of halves: 127·2·32752·256 < 2^31.
const MAX_TRELLIS_GROUP = 32768;
const MAX_HALVES_GROUP = 256;

type TrellisName = `trellis${TrellisBits}` | `trellis${TrellisBits}_i16`;

/** One of sums of bytes and one of halves for each number of bits. */
const formats = /* @__PURE__ */ Object.fromEntries(
  /* @__PURE__ */ TRELLIS_BITS.flatMap((bits): [TrellisName, Format][] => {
    const common = { layout: "tiles", chunk: 16, operand: "twice", wide: true, bits } as const;
    return [
      [`trellis${bits}`, { ...common, maxGroup: MAX_TRELLIS_GROUP, kind: "TRELLIS" }],
      [`trellis${bits}_i16`, { ...common, maxGroup: MAX_HALVES_GROUP, rowScales: true, kind: "TRELLIS_HALVES" }],
    ];
  }),
) as Readonly<Record<TrellisName, Format>>;

/** Products of decoded trellis codes: int8, and float32 as three passes of it. */
function trellisKernels(bits: TrellisBits): Kernel[] {
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
    return [
      ...gemvs,
      ...gemmKernels(format, formats[format], "int8", kind === "" ? 3 : 2),
      ...gemmKernels(format, formats[format], "f32", 2),
    ];
  });
}

const trellisBound = "16-bit: 2 bytes <= 510; 32-bit lanes may wrap: |Σ (b - 510)·x| <= 127·510·32768 < 2^31";
const halvesBound = "int16: 2·(2047·2^3) = 32752 <= 32767; 32-bit lanes: 127·2·32752·256 < 2^31";

const unpack = (halves: boolean) => ({
  from: { "trellis/unpack": ["unpackTiles"] },
  text: `unpackTiles(w, row, byteCols, begin, height, n, out, extra, ${halves})`,
});

export const trellis: Core<TrellisName> = {
  formats,
  kernels: TRELLIS_BITS.flatMap(trellisKernels),
  kinds: {
    TRELLIS: {
      codes: "int16",
      centre: { from: { "trellis/decode": ["CENTRE"] }, text: "CENTRE" },
      unpack: unpack(false),
    },
    // Groups only keep sums within 32 bits and share the scale of the row.
    TRELLIS_HALVES: { codes: "int16", centre: 0, unpack: unpack(true) },
  },
};
