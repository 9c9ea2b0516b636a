// The formats that kernels tell apart.
import {
  type Activation,
  type Format,
  type FormatName,
  type IndexBits,
  MAX_DOT_GROUP,
  TRELLIS_BITS,
  type TrellisBits,
  type UniformBits,
} from "./types.ts";

const MAX_I16_GROUP = 512;
// In simd128 sums are 64 times too large (assembly/dot/README.md): 64·127·2^18 = 2130706432 < 2^31.
const MAX_TERNARY_GROUP = 262144;
// 8 bits by 8 bits: 255·255·32768 < 2^31.
const MAX_BITS_GROUP = 32768;
// Sums of bytes: 127·510·32768 < 2^31; of halves: 127·2·32752·256 < 2^31.
const MAX_TRELLIS_GROUP = 32768;
const MAX_HALVES_GROUP = 256;

function uniformFormat(bits: UniformBits): Format {
  const chunk = { 2: 16, 3: 32, 4: 8, 5: 32, 6: 16, 8: 8 }[bits];
  const operand = bits === 8 ? "bytePairs" : bits === 2 ? "fields" : "quads";
  return { layout: "words", bits, chunk, maxGroup: MAX_DOT_GROUP, operand, unpack: 20 + bits };
}

function codebookFormats(bits: IndexBits): readonly [Format, Format, Format] {
  const chunk = { 2: 16, 3: 32, 4: 8 }[bits];
  return [
    { layout: "words", bits, chunk, maxGroup: MAX_DOT_GROUP, operand: "quads", unpack: 30 + bits },
    { layout: "words", bits, chunk, maxGroup: MAX_I16_GROUP, operand: "wide", unpack: 40 + bits },
    {
      layout: "rowWords",
      bits,
      chunk: 4 * chunk,
      maxGroup: MAX_I16_GROUP,
      operand: "wide",
      unpack: 50 + bits,
    },
  ];
}

const ternaryPlanes: Format = { layout: "planes", bits: 2, chunk: 8, operand: "tables" };

const [codebook2, codebook2_i16, codebook2_rows] = codebookFormats(2);
const [codebook3, codebook3_i16, codebook3_rows] = codebookFormats(3);
const [codebook4, codebook4_i16, codebook4_rows] = codebookFormats(4);

type TrellisFormats = { readonly [key in `trellis${TrellisBits}` | `trellis${TrellisBits}_i16`]: Format };

function trellisFormats(): TrellisFormats {
  const common = { layout: "tiles", chunk: 16, operand: "twice" } as const;
  const all = TRELLIS_BITS.flatMap((bits): [string, Format][] => [
    [`trellis${bits}`, { ...common, bits, maxGroup: MAX_TRELLIS_GROUP, unpack: 64 }],
    [`trellis${bits}_i16`, { ...common, bits, maxGroup: MAX_HALVES_GROUP, rowScales: true, unpack: 65 }],
  ]);
  return Object.fromEntries(all) as unknown as TrellisFormats;
}

export const formats: Readonly<Record<FormatName, Format>> = {
  binary: { layout: "planes", bits: 1, chunk: 8, operand: "tables", unpack: 1 },
  // Codes w + 2, so that kernels take them for uniform2.
  ternary: { ...uniformFormat(2), maxGroup: MAX_TERNARY_GROUP },
  bcq: { layout: "planes", bits: 1, chunk: 8, operand: "tables" },
  complex: { layout: "planes", bits: 1, chunk: 8, operand: "halves" },
  bitplane: { layout: "bits", bits: 1, chunk: 32, maxGroup: MAX_BITS_GROUP, operand: "bits" },
  uniform2: uniformFormat(2),
  uniform3: uniformFormat(3),
  uniform4: uniformFormat(4),
  uniform5: uniformFormat(5),
  uniform6: uniformFormat(6),
  uniform8: uniformFormat(8),
  codebook2,
  codebook3,
  codebook4,
  codebook2_i16,
  codebook3_i16,
  codebook4_i16,
  codebook2_rows,
  codebook3_rows,
  codebook4_rows,
  e8p: { layout: "lattice", bits: 2, chunk: 8, maxGroup: MAX_DOT_GROUP, operand: "lattice", workBytes: 64, unpack: 60 },
  e81b: {
    layout: "lattice",
    bits: 1,
    chunk: 8,
    maxGroup: MAX_DOT_GROUP,
    operand: "lattice",
    workBytes: 64,
    unpack: 61,
  },
  // Companded; without companding vectors are uniform codes behind a projection.
  glvq: { layout: "vectors", bits: 2, chunk: 32, maxGroup: MAX_DOT_GROUP, operand: "quads", unpack: 63 },
  pvq8: { layout: "vectors", bits: 4, chunk: 8, maxGroup: MAX_DOT_GROUP, operand: "quads", workBytes: 16, unpack: 62 },
  pvq16: {
    layout: "vectors",
    bits: 2,
    chunk: 16,
    maxGroup: MAX_DOT_GROUP,
    operand: "quads",
    workBytes: 16,
    unpack: 62,
  },
  ...trellisFormats(),
  // Numbers as they are: no scales, and chunks of 64 bytes of x.
  dense32: { layout: "floats", bits: 32, chunk: 16, operand: "floats" },
  dense16: { layout: "floats", bits: 16, chunk: 16, operand: "floats" },
  denseb16: { layout: "floats", bits: 16, chunk: 16, operand: "floats" },
};

/** The format as it is stored for one contract: lookup tables of ternary weights want planes, dot products words. */
export function formatOf(name: FormatName, activation: Activation): Format {
  return name === "ternary" && activation === "lut8" ? ternaryPlanes : formats[name];
}
