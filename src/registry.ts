// The one table of formats and kernels. Dispatch, tests and benchmarks follow from its rows: nothing else lists kernels.

export type Variant = "relaxed" | "simd";
/** "bits" is of bitplane, which has no other. */
export type Activation = "int8" | "lut8" | "f32" | "bits";

export const ACTIVATIONS: readonly Activation[] = ["int8", "lut8", "f32", "bits"];

/** Rows are padded to a multiple of this; tiles are TILE_ROWS high, the last one may be lower. */
export const STRIP_ROWS = 16;
export const TILE_ROWS = 64;

/** Bits of a uniform code. */
export const UNIFORM_BITS = [2, 3, 4, 5, 6, 8] as const;
export type UniformBits = (typeof UNIFORM_BITS)[number];
export type IndexBits = 2 | 3 | 4;

/** Bits of a trellis code. */
export const TRELLIS_BITS = [1, 2, 3, 4, 5, 6, 7, 8] as const;
export type TrellisBits = (typeof TRELLIS_BITS)[number];

/** What kernels tell apart. A public format may use several (codebook) and several may use one (ptqtp is bcq). */
export type FormatName =
  | "binary"
  | "ternary"
  | "bcq"
  | "bitplane"
  | "complex"
  | `uniform${UniformBits}`
  | `codebook${IndexBits}`
  | `codebook${IndexBits}_i16`
  | `codebook${IndexBits}_rows`
  | "e8p"
  | "e81b"
  | `trellis${TrellisBits}`
  | `trellis${TrellisBits}_i16`;

export interface Format {
  /** How weights are stored: README.md in assembly/lut, assembly/dot, assembly/codebook, assembly/popcount, assembly/vq, assembly/trellis. */
  readonly layout: "planes" | "words" | "rowWords" | "bits" | "lattice" | "tiles";
  /** Stored bits of a weight; of one plane where the number of planes varies. */
  readonly bits: number;
  /** Columns that the layout keeps together: columns are padded to it, and groups are a multiple of it. */
  readonly chunk: number;
  /** Columns of the longest group whose integer sums fit int32; a longer one is stored as several with one scale. */
  readonly maxGroup?: number;
  /**
   * What meets the weights in gemv: lookup tables of x; those of Re x and Im x; int8 x; int16 x, as it is or for codes of a
   * byte each; bit planes; tables of int8 x; int16 x twice.
   */
  readonly operand: "tables" | "halves" | "quads" | "wide" | "bytePairs" | "bits" | "lattice" | "twice";
  /** Groups only keep sums within 32 bits and share the scale of their row. */
  readonly rowScales?: boolean;
  /** Working space of gemv a row, beyond what every kernel has. */
  readonly workBytes?: number;
  /** What assembly/dot/gemm.ts calls the unpacking of it. */
  readonly unpack?: number;
}

/** Whether codes are int16 when they meet activations. */
export function isWide({ operand }: Format): boolean {
  return operand === "wide" || operand === "bytePairs" || operand === "twice";
}

// |Σ q·(c - 2^(bits-1))| <= 127·128·65536 < 2^31, and |q| <= 127 over int16 entries: 127·32767·512 < 2^31.
const MAX_DOT_GROUP = 65536;
const MAX_I16_GROUP = 512;
// 8 bits by 8 bits: 255·255·32768 < 2^31.
const MAX_BITS_GROUP = 32768;
// Sums of bytes: 127·510·32768 < 2^31; of halves: 127·2·32752·256 < 2^31.
const MAX_TRELLIS_GROUP = 32768;
const MAX_HALVES_GROUP = 256;

function uniformFormat(bits: UniformBits): Format {
  const chunk = { 2: 16, 3: 32, 4: 8, 5: 32, 6: 16, 8: 8 }[bits];
  const operand = bits === 8 ? "bytePairs" : "quads";
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
  ternary: { layout: "planes", bits: 2, chunk: 8, operand: "tables", unpack: 2 },
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
  ...trellisFormats(),
};

export interface Kernel {
  /** `<op>_<format>_<activation>_<rows>x<cols or tokens>` */
  readonly name: string;
  /** The export of the binary, where it serves several formats or activations. Default: `name`. */
  readonly export?: string;
  readonly op: "gemv" | "gemm";
  readonly format: FormatName;
  readonly activation: Activation;
  /** The binary that has it: both have the simd128 kernels. */
  readonly needs: "simd128" | "relaxed";
  /** Rows that one inner loop computes together, and columns (gemv) or tokens (gemm) of one step. */
  readonly tile: readonly [rows: number, inner: number];
  /**
   * gemm: from how many tokens on it is used; below, unpacking costs more than a pass a token. Infinity: only when it is
   * asked for by name. Measured with `npm run bench`; both ways give the same bits.
   */
  readonly fromTokens?: number;
  /** "i32" for the twin with sums in 32-bit lanes, for machines where `features.dot` says so. */
  readonly dot?: "i32";
  /** "native" for the twin without an adder, for machines where `features.popcnt` says so. */
  readonly popcnt?: "native";
  /** Why its narrow accumulators cannot overflow. */
  readonly bound: string;
}

const gemmBound =
  "16-bit lanes: 2 columns a step, |x| <= 127, as many steps as 2·127·code allows (depth in dot/gemm.ts)";
const gemm32Bound = "32-bit lanes: 2·127·cols < 2^31 for cols <= 8388608";
const f32Bound = "none: float32 sums";
const binaryInt8Bound = "bytes: |h low + h high| <= 112, 3·2·|l| <= 96; unsigned 16-bit: 255·255 = 65025 <= 65535";
const binaryLut8Bound =
  "bytes: |low| + |high| <= 127; 16-bit: 32·127 = 4064 <= 32767; 32-bit: 4096·127·2047 < 2^31 (biased bytes: 255)";
const wideBound = "32-bit lanes: |Σ| <= 127·Σ|w| of a group, which the longest group keeps below 2^31";

/** Kernels that meet sign planes: binary has one, bcq several. */
function planeKernels(format: "binary" | "bcq"): Kernel[] {
  const gemv = { op: "gemv", format, needs: "simd128" } as const;
  const row = (activation: Activation, size: string, tile: readonly [number, number], bound: string): Kernel => {
    const name = `gemv_${format}_${activation}_${size}`;
    return {
      name,
      ...(format === "bcq" && { export: `gemv_binary_${activation}_${size}` }),
      ...gemv,
      activation,
      tile,
      bound,
    };
  };
  return [
    row("int8", "32x8", [32, 8], binaryInt8Bound),
    row("lut8", "64x8", [64, 8], binaryLut8Bound),
    row("f32", "16x8", [16, 8], f32Bound),
  ];
}

/** Kernels of complex planes: what is summed are signs. */
function complexKernels(): Kernel[] {
  const row = (activation: Activation, tile: readonly [number, number], bound: string): Kernel => ({
    name: `gemv_complex_${activation}_${tile.join("x")}`,
    op: "gemv",
    format: "complex",
    activation,
    needs: "simd128",
    tile,
    bound,
  });
  return [
    row("int8", [32, 8], `${binaryInt8Bound}; P + Q: 2·127·cols < 2^31 for cols <= 8388608`),
    row("lut8", [32, 8], `${binaryLut8Bound}; P + Q: 2·4096·127·2047 < 2^31`),
    row("f32", [16, 8], "bytes of 24-bit sums: 4·(2^21 - 1) < 2^23; unsigned 16-bit: 2·64·255 = 32640 <= 65535"),
    // By executed instructions lookup wins at every number of tokens, with the dot product instruction of ARM too.
    ...gemmKernels("complex", "int8", Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, "gemm_complex_int8_16x2"),
  ];
}

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

const ternaryGemv = { op: "gemv", format: "ternary", needs: "simd128" } as const;

/** Kernels that unpack a tile to codes, which then meet many tokens. */
function gemmKernels(
  format: FormatName,
  activation: Activation,
  fromTokens: number,
  fromTokens32 = fromTokens,
  from = isWide(formats[format]) ? "gemm_wide_16x2" : "gemm_int8_16x2",
): Kernel[] {
  const gemm = { op: "gemm", format, activation, tile: [16, 2] } as const;
  const name = `gemm_${format}_${activation}_16x2`;
  const wide = isWide(formats[format]);
  const i16: Kernel = {
    name,
    export: from,
    ...gemm,
    needs: "simd128",
    fromTokens,
    bound: wide ? wideBound : gemmBound,
  };
  if (wide) return [i16];
  const i32: Kernel = {
    name: `${name}_i32`,
    export: `${from}_i32`,
    ...gemm,
    needs: "relaxed",
    dot: "i32",
    fromTokens: fromTokens32,
    bound: gemm32Bound,
  };
  return [i16, i32];
}

/** The same, from so many tokens on; with float32 activations a token counts three times. */
function dotGemms(format: FormatName): Kernel[] {
  return [...gemmKernels(format, "int8", 8), ...gemmKernels(format, "f32", 3)];
}

const UNIFORM_DEPTH: Readonly<Record<UniformBits, string>> = {
  2: "16-bit lanes: 8 steps of 2·127·3, half of them 4 times as large: 12192 <= 32767",
  3: "16-bit lanes: 8 steps of 2·127·7 = 14224 <= 32767",
  4: "16-bit lanes: 8 steps of 2·127·15 = 30480 <= 32767",
  5: "16-bit lanes: 4 steps of 2·127·31 = 31496 <= 32767",
  6: "16-bit lanes: 2 steps of 2·127·63 = 32004 <= 32767",
  8: `int16 factors: |x1 - 256·x0| <= 257·127 = 32639 <= 32767; ${wideBound}`,
};

/** Dot products of one format: int8, and float32 as three passes of it. */
function dotKernels(format: FormatName, tile: readonly [number, number], bound: string): Kernel[] {
  return (["int8", "f32"] as const).flatMap((activation) => {
    const gemv = { op: "gemv", format, activation, tile } as const;
    const size = tile.join("x");
    const name = `gemv_${format}_${activation}_${size}`;
    const from = `gemv_${format}_int8_${size}`;
    const row: Kernel = { name, export: from, ...gemv, needs: "simd128", bound };
    if (isWide(formats[format])) return [row];
    return [
      row,
      { ...row, name: `${name}_i32`, export: `${from}_i32`, needs: "relaxed", dot: "i32", bound: gemm32Bound },
    ];
  });
}

/** Lookups of lattice codes: int8, and float32 as three passes of it. */
function latticeKernels(format: "e8p" | "e81b", bound: string): Kernel[] {
  return (["int8", "f32"] as const).map((activation) => ({
    name: `gemv_${format}_${activation}_16x8`,
    export: `gemv_${format}_int8_16x8`,
    op: "gemv",
    format,
    activation,
    needs: "simd128",
    tile: [16, 8],
    bound,
  }));
}

const e8pBound = "bytes: |h low + h high + h| <= 126, |l - 2·l| <= 104; 16-bit: 20·(104 + 1016) = 22400 <= 32767";
const e81bBound = "bytes: |h low + h high| <= 112, |l low + l high| <= 32; unsigned 16-bit: 64·255 = 16320 <= 65535";

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
    return [...gemvs, ...gemmKernels(format, "int8", kind === "" ? 3 : 2), ...gemmKernels(format, "f32", 2)];
  });
}

const trellisBound = "16-bit: 2 bytes <= 510; 32-bit lanes may wrap: |Σ (b - 510)·x| <= 127·510·32768 < 2^31";
const halvesBound = "int16: 2·(2047·2^3) = 32752 <= 32767; 32-bit lanes: 127·2·32752·256 < 2^31";

const INDEX_BITS: readonly IndexBits[] = [2, 3, 4];
const bytesBound = "16-bit lanes: 4 steps of 2·127·32 = 32512 <= 32767, or 1 of 2·127·127 for larger entries";

export const kernels: readonly Kernel[] = [
  ...planeKernels("binary"),
  {
    name: "gemv_ternary_int8_16x8",
    ...ternaryGemv,
    activation: "int8",
    tile: [16, 8],
    bound: "bytes: |h low + h high| <= 112, 3·2·|l| <= 96; 16-bit: 144·2·112 = 32256 <= 32767",
  },
  {
    name: "gemv_ternary_lut8_64x8",
    ...ternaryGemv,
    activation: "lut8",
    tile: [64, 8],
    bound: "bytes: |low| + |high| <= 127; 16-bit: 32·2·127 = 8128 <= 32767; 32-bit: 4096·2·127·2047 < 2^31",
  },
  { name: "gemv_ternary_f32_8x8", ...ternaryGemv, activation: "f32", tile: [8, 8], bound: f32Bound },
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
  ...gemmKernels("ternary", "int8", 12, 8),
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
  ...TRELLIS_BITS.flatMap(trellisKernels),
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

/** The name of a kernel's export. */
export function exportOf(kernel: Kernel): string {
  return kernel.export ?? kernel.name;
}
