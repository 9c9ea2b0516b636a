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
  | "glvq"
  | `pvq${8 | 16}`
  | `trellis${TrellisBits}`
  | `trellis${TrellisBits}_i16`;

export interface Format {
  /** How weights are stored: README.md in the folders of assembly/. */
  readonly layout: "planes" | "words" | "rowWords" | "bits" | "lattice" | "vectors" | "tiles";
  /** Stored bits of a weight; of one plane where the number of planes varies. */
  readonly bits: number;
  /** Columns that the layout keeps together: columns are padded to it, and groups are a multiple of it. */
  readonly chunk: number;
  /** Columns of the longest group whose integer sums fit int32; a longer one is stored as several with one scale. */
  readonly maxGroup?: number;
  /**
   * What meets the weights in gemv: lookup tables of x; those of Re x and Im x; int8 x, for codes of 2 bits, others, or as
   * it is in both binaries; int16 x, as it is, for codes of a byte each, or twice; bit planes; tables of int8 x.
   */
  readonly operand:
    | "tables"
    | "halves"
    | "fields"
    | "quads"
    | "bytes"
    | "wide"
    | "bytePairs"
    | "twice"
    | "bits"
    | "lattice";
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
};

/** The format as it is stored for one contract: lookup tables of ternary weights want planes, dot products words. */
export function formatOf(name: FormatName, activation: Activation): Format {
  return name === "ternary" && activation === "lut8" ? ternaryPlanes : formats[name];
}

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
  /** The twin for machines where `features.dot` says so: "i32" has sums in 32-bit lanes, "mul" adds 16-bit products. */
  readonly dot?: "i32" | "mul";
  /** What meets the weights, if not what its format says. */
  readonly operand?: "bytes";
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
  2: "16-bit lanes: 5·2 steps of 2·127·12 = 30480 <= 32767; simd128, 32-bit: 64·2·127·65536 < 2^31",
  3: "16-bit lanes: 8 steps of 2·127·7 = 14224 <= 32767",
  4: "16-bit lanes: 8 steps of 2·127·15 = 30480 <= 32767",
  5: "16-bit lanes: 4 steps of 2·127·31 = 31496 <= 32767",
  6: "16-bit lanes: 2 steps of 2·127·63 = 32004 <= 32767",
  8: `int16 factors: |x1 - 256·x0| <= 257·127 = 32639 <= 32767; ${wideBound}`,
};

const mulBound = "16-bit lanes: 10·2 products of 127·12 = 30480 <= 32767";

/** Dot products of one format: int8, and float32 as three passes of it. `core`: the format whose kernels they are. */
function dotKernels(format: FormatName, tile: readonly [number, number], bound: string, core = format): Kernel[] {
  return (["int8", "f32"] as const).flatMap((activation) => {
    const gemv = { op: "gemv", format, activation, tile } as const;
    const size = tile.join("x");
    const name = `gemv_${format}_${activation}_${size}`;
    const from = `gemv_${core}_int8_${size}`;
    const row: Kernel = { name, export: from, ...gemv, needs: "simd128", bound };
    if (isWide(formats[format])) return [row];
    const twin = (suffix: string) => ({ ...row, name: `${name}_${suffix}`, export: `${from}_${suffix}` });
    const i32: Kernel = { ...twin("i32"), needs: "relaxed", dot: "i32", bound: gemm32Bound };
    if (formats[format].operand !== "fields") return [row, i32];
    return [row, i32, { ...twin("mul"), dot: "mul", operand: "bytes", bound: mulBound }];
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

/** Companded vectors: int8, or float32 as three passes of it. */
function glvqKernels(activation: "int8" | "f32"): Kernel[] {
  const gemv = { op: "gemv", format: "glvq", activation, needs: "simd128", tile: [16, 4], bound: glvqBound } as const;
  return [{ name: `gemv_glvq_${activation}_16x4`, export: "gemv_glvq_int8_16x4", ...gemv }];
}

/** Lookups of the leaves of a vector: int8, and float32 as three passes of it. */
function vectorKernels(size: 8 | 16): Kernel[] {
  return (["int8", "f32"] as const).map((activation) => ({
    name: `gemv_pvq${size}_${activation}_4x${size}`,
    export: `gemv_pvq${size}_int8_4x${size}`,
    op: "gemv",
    format: `pvq${size}`,
    activation,
    needs: "simd128",
    tile: [4, size],
    bound: "16-bit lanes: codes <= 2·14: 4·2·127·28 = 28448 <= 32767",
  }));
}

const e8pBound = "bytes: |h low + h high + h| <= 126, |l - 2·l| <= 104; 16-bit: 20·(104 + 1016) = 22400 <= 32767";
const e81bBound = "bytes: |h low + h high| <= 112, |l low + l high| <= 32; unsigned 16-bit: 64·255 = 16320 <= 65535";

const glvqBound = "bytes saturate; 16-bit lanes: 2·127·63 = 16002 <= 32767; 32-bit: 2·63·127·65536 < 2^31";
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

/** What tells kernels of a job apart on a machine: features.dot and features.popcnt. */
export interface Machine {
  /** Dot products of int8: summed in 16-bit lanes, in 32-bit lanes, or products added where neither is one instruction. */
  readonly dot: "i16" | "i32" | "mul";
  readonly popcnt: "native" | "sliced";
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
