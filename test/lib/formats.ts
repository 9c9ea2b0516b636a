// Each format of the registry as the tests need it: random and extreme weights, and how they are packed. A format that is
// added to the registry does not compile here until it is tested.
import {
  bcq,
  binary,
  codebook,
  e8p,
  type Lowbit,
  type Matrix,
  pvq,
  type Activation as Registered,
  ternary,
  trellis,
  uniform,
} from "../../src/index.ts";
import { formatOf, formats as registry } from "../../src/kernels/formats.ts";
import {
  type IndexBits,
  type FormatName as RegisteredName,
  TRELLIS_BITS,
  type TrellisBits,
  type UniformBits,
} from "../../src/kernels/types.ts";
import { packSigns } from "../reference/binary.ts";
import { codeNear, e8pVector, e81bVector } from "../reference/e8p.ts";
import { pyramidAt, pyramidCount, pyramidNear, pyramidNumber } from "../reference/pvq.ts";
import { type ReferenceCodebook, trellisMatrix, trellisWeight } from "../reference/trellis.ts";
import { type Codes, makeWeights, type Weights } from "../reference/weights.ts";
import type { Random } from "./random.ts";

export type AnyWeights = Weights<Codes>;

/** Bit planes, whose operands have types of their own, complex weights, companded vectors and numbers as they are have test files of their own. */
export type FormatName = Exclude<RegisteredName, "bitplane" | "complex" | "glvq" | `dense${string}`>;
export type Activation = Exclude<Registered, "bits">;

interface CommonPack {
  rows: number;
  cols: number;
  groupSize: number;
  activation: Activation;
  kernel?: string;
}

export interface TestFormat {
  /** The least and the largest integer that a weight can be, and others worth trying. */
  readonly levels: readonly number[];
  /** Whether the format has scales of groups of columns. */
  readonly grouped: boolean;
  random(rows: number, cols: number, rng: Random, groupSize?: number): AnyWeights;
  /** Weights that are these integers, with these scales. */
  of(rows: number, cols: number, codes: readonly number[], scales: ArrayLike<number>, groupSize?: number): AnyWeights;
  pack(lb: Lowbit, weights: AnyWeights, common: CommonPack): Matrix;
}

function groupsOf(cols: number, groupSize: number | undefined): number {
  return Math.ceil(cols / (groupSize ?? cols));
}

function planeFormat(planes: 1 | 2): TestFormat {
  const of: TestFormat["of"] = (rows, cols, codes, scales, groupSize) =>
    makeWeights({ rows, cols, planes, codes: Int8Array.from(codes), scales, groupSize });
  return {
    levels: planes === 1 ? [-1, 1] : [-1, 1, 0],
    grouped: true,
    of,
    random: (rows, cols, rng, groupSize) =>
      makeWeights({
        rows,
        cols,
        planes,
        codes: planes === 1 ? rng.signs(rows * cols) : rng.trits(rows * cols),
        scales: rng.gaussians(rows * groupsOf(cols, groupSize)),
        groupSize,
      }),
    pack: (lb, { codes, scales }, common) =>
      planes === 1
        ? binary.pack(lb, { ...common, scales, signs: codes as Int8Array })
        : ternary.pack(lb, { ...common, scales, codes: codes as Int8Array }),
  };
}

const bcqFormat: TestFormat = {
  levels: [-1, 1],
  grouped: true,
  of: (rows, cols, codes, scales, groupSize) => {
    const term = { codes: Int8Array.from(codes), scales };
    // The planes of an extreme add up to the extreme.
    return makeWeights({ rows, cols, planes: 1, ...term, more: [term, term], groupSize, offsets: scales });
  },
  random: (rows, cols, rng, groupSize) => {
    const count = rows * groupsOf(cols, groupSize);
    const term = () => ({ codes: rng.signs(rows * cols), scales: rng.gaussians(count) });
    const more = Array.from({ length: rng.int(0, 3) }, term);
    const offsets = rng.int(0, 2) > 0 ? rng.gaussians(count) : undefined;
    return makeWeights({ rows, cols, planes: 1, ...term(), more, groupSize, offsets });
  },
  pack: (lb, weights, common) => {
    const terms = [weights, ...weights.more];
    const planes = terms.map(({ codes }) => packSigns(codes as Int8Array, weights.rows, weights.cols));
    const { offsets } = weights;
    return bcq.pack(lb, {
      ...common,
      bits: terms.length,
      planes: Uint8Array.from(planes.flatMap((plane) => Array.from(plane))),
      alphas: Float32Array.from(terms.flatMap(({ scales }) => Array.from(scales))),
      ...(offsets && { offsets }),
    });
  },
};

function uniformFormat(bits: UniformBits): TestFormat {
  const middle = 2 ** (bits - 1);
  return {
    levels: [-middle, middle - 1, 0, -1],
    grouped: true,
    of: (rows, cols, codes, scales, groupSize) =>
      inParts(
        makeWeights({ rows, cols, planes: 1, codes: Int8Array.from(codes), scales, groupSize }),
        65536,
        registry[`uniform${bits}`].chunk,
      ),
    random: (rows, cols, rng, groupSize) => {
      const count = rows * groupsOf(cols, groupSize);
      const codes = Int8Array.from({ length: rows * cols }, () => rng.int(-middle, middle - 1));
      const scales = rng.gaussians(count);
      if (rng.int(0, 1) === 0) return makeWeights({ rows, cols, planes: 1, codes, scales, groupSize });
      const zeros = Float32Array.from({ length: count }, () => rng.int(-1, 2 ** bits) + rng.int(0, 1) / 4);
      // s (c - z) = s (c - middle) + s (middle - z)
      const offsets = scales.map((scale, i) => scale * (middle - (zeros[i] as number)));
      return Object.assign(makeWeights({ rows, cols, planes: 1, codes, scales, groupSize, offsets }), { zeros });
    },
    pack: (lb, weights, common) => {
      const { codes } = weights;
      const { groupSize, scales } = whole(weights);
      const { zeros } = weights as AnyWeights & { zeros?: Float32Array };
      const unsigned = Uint8Array.from(codes, (code) => code + middle);
      return uniform.pack(lb, { ...common, groupSize, bits, codes: unsigned, scales, ...(zeros && { zeros }) });
    },
  };
}

/**
 * Integer sums fit 32 bits up to `most` columns: a longer group counts as several, of as many columns as divide it or, of a
 * whole row, as fit. The scales that were given are kept for packing.
 */
function inParts(weights: AnyWeights, most: number, chunk: number): AnyWeights {
  const { rows, cols, groupSize, groups, scales, offsets } = weights;
  if (groupSize <= most) return weights;
  let size = most;
  if (groupSize < cols) while (groupSize % size !== 0) size -= chunk;
  const count = Math.ceil(cols / size);
  const repeat = (values: Float32Array): Float32Array =>
    Float32Array.from({ length: rows * count }, (_, i) => {
      const group = Math.floor(((i % count) * size) / groupSize);
      return values[Math.floor(i / count) * groups + group] as number;
    });
  const parts = { groupSize: size, groups: count, scales: repeat(scales), offsets: offsets && repeat(offsets) };
  return Object.assign({ given: { groupSize, scales } }, weights, parts);
}

/** What was given to inParts. */
function whole(weights: AnyWeights): { groupSize: number; scales: Float32Array } {
  return (weights as AnyWeights & { given?: { groupSize: number; scales: Float32Array } }).given ?? weights;
}

/** Codes point into a table of integers, the same for all rows or one a row. */
function codebookFormat(bits: IndexBits, kind: "" | "_i16" | "_rows"): TestFormat {
  const size = 2 ** bits;
  const most = kind === "" ? 63 : 32767;
  const grouped = kind !== "_rows";
  // The largest magnitude is there, or the entries would not be what they are made of: see integerTable.
  const table = (rng: Random, largest = most): number[] => {
    const entries = Array.from({ length: size }, () => rng.int(-largest, largest));
    // Neighbours have no common divisor, so the unit is 1.
    entries[1] = largest;
    entries[2] = largest - 1;
    if (kind === "_i16") entries[0] = -most + 1;
    return entries;
  };
  const make = (
    rows: number,
    cols: number,
    tables: readonly number[][],
    indices: readonly number[],
    scales: ArrayLike<number>,
    groupSize?: number,
  ): AnyWeights => {
    const codes = Int16Array.from(indices, (index, i) => {
      const entries = tables[tables.length === 1 ? 0 : Math.floor(i / cols)] as number[];
      return entries[index] as number;
    });
    const weights = makeWeights({ rows, cols, planes: 1, codes, scales, groupSize });
    return Object.assign(inParts(weights, kind === "" ? 65536 : 512, registry[`codebook${bits}${kind}`].chunk), {
      tables,
      indices,
    });
  };
  // Entry 0 is the least, entry 1 the largest.
  const extremes = [-most, most, 0, -1, ...new Array<number>(size).fill(1)].slice(0, size);
  return {
    levels: extremes.slice(0, 4),
    grouped,
    of: (rows, cols, codes, scales, groupSize) => {
      const tables = kind === "_rows" ? Array.from({ length: rows }, () => extremes) : [extremes];
      const indices = codes.map((code) => extremes.indexOf(code));
      return make(rows, cols, tables, indices, scales, groupSize);
    },
    random: (rows, cols, rng, groupSize) => {
      const largest = kind === "" ? rng.int(1, most) : most;
      const tables = Array.from({ length: kind === "_rows" ? rows : 1 }, () => table(rng, largest));
      const indices = Array.from({ length: rows * cols }, () => rng.int(0, size - 1));
      return make(rows, cols, tables, indices, rng.gaussians(rows * groupsOf(cols, groupSize)), groupSize);
    },
    pack: (lb, weights, common) => {
      const { tables, indices } = weights as AnyWeights & { tables: number[][]; indices: number[] };
      const { groupSize: _, ...rest } = common;
      const { groupSize, scales } = whole(weights);
      return codebook.pack(lb, {
        ...rest,
        ...(grouped && { groupSize }),
        bits,
        codes: Uint8Array.from(indices),
        tables: Float32Array.from(tables.flat()),
        scales,
      });
    },
  };
}

/** Codes of 8 columns. `of` takes vectors of the codebook near those that are asked for; weights are 4w or 2w. */
function latticeFormat(codebook: "e8p" | "e81b"): TestFormat {
  const [vector, size, unit] = codebook === "e8p" ? [e8pVector, 65536, 4] : [e81bVector, 256, 2];
  const make = (
    rows: number,
    cols: number,
    units: Uint16Array,
    scales: ArrayLike<number>,
    groupSize?: number,
  ): AnyWeights => {
    const perRow = Math.ceil(cols / 8);
    const vectors = new Map<number, number[]>();
    for (const code of units) if (!vectors.has(code)) vectors.set(code, vector(code));
    const codes = Int8Array.from({ length: rows * cols }, (_, i) => {
      const row = Math.floor(i / cols);
      const col = i % cols;
      const v = vectors.get(units[row * perRow + (col >> 3)] as number) as number[];
      return unit * (v[col & 7] as number);
    });
    const weights = makeWeights({ rows, cols, planes: 1, codes, scales, groupSize });
    return Object.assign(inParts(weights, 65536, 8), { units });
  };
  const near = (v: readonly number[]): number => {
    if (codebook === "e8p") return codeNear(v);
    return (v.reduce((hash, x, i) => hash + (i + 1) * (x + 4), 0) * 37) & 255;
  };
  return {
    levels: codebook === "e8p" ? [-7, 7, 11, -3] : [-1, 1, 2, 0],
    grouped: true,
    of: (rows, cols, codes, scales, groupSize) => {
      const perRow = Math.ceil(cols / 8);
      const known = new Map<string, number>();
      const units = Uint16Array.from({ length: rows * perRow }, (_, i) => {
        const row = Math.floor(i / perRow);
        const from = row * cols + 8 * (i % perRow);
        const v = Array.from({ length: 8 }, (_, k) =>
          from + k < (row + 1) * cols ? (codes[from + k] as number) / unit : 0.5,
        );
        const key = v.join();
        if (!known.has(key)) known.set(key, near(v));
        return known.get(key) as number;
      });
      return make(rows, cols, units, scales, groupSize);
    },
    random: (rows, cols, rng, groupSize) => {
      const units = Uint16Array.from({ length: rows * Math.ceil(cols / 8) }, () => rng.int(0, size - 1));
      return make(rows, cols, units, rng.gaussians(rows * groupsOf(cols, groupSize)), groupSize);
    },
    pack: (lb, weights, common) => {
      const { units } = weights as AnyWeights & { units: Uint16Array };
      const { groupSize, scales } = whole(weights);
      const options = { ...common, groupSize, codebook, codes: units };
      return e8p.packCodes(lb, { ...options, scales: scales.map((scale) => scale * unit) });
    },
  };
}

/** Vectors of a pyramid; what is to be near other numbers is its nearest vector. */
function vectorFormat(size: 8 | 16, most: number): TestFormat {
  const make = (
    rows: number,
    cols: number,
    vectors: readonly number[][],
    pulses: number,
    scales: ArrayLike<number>,
    groupSize?: number,
  ): AnyWeights => {
    const perRow = Math.ceil(cols / size);
    const codes = Int8Array.from({ length: rows * cols }, (_, i) => {
      const col = i % cols;
      const vector = vectors[Math.floor(i / cols) * perRow + Math.floor(col / size)] as number[];
      return vector[col % size] as number;
    });
    const weights = makeWeights({ rows, cols, planes: 1, codes, scales, groupSize });
    const numbers = new Map<readonly number[], number>();
    const indices = Uint32Array.from(vectors, (vector) => {
      if (!numbers.has(vector)) numbers.set(vector, Number(pyramidNumber(vector)));
      return numbers.get(vector) as number;
    });
    return Object.assign(inParts(weights, 65536, size), { indices, pulses });
  };
  return {
    levels: [-most, most, 0, 1],
    grouped: true,
    of: (rows, cols, codes, scales, groupSize) => {
      const perRow = Math.ceil(cols / size);
      const known = new Map<string, number[]>();
      const vectors = Array.from({ length: rows * perRow }, (_, i) => {
        const from = Math.floor(i / perRow) * cols + size * (i % perRow);
        const end = Math.min(from + size, (Math.floor(i / perRow) + 1) * cols);
        const wanted = Array.from({ length: size }, (_, c) => (from + c < end ? (codes[from + c] as number) : 0));
        const key = wanted.join();
        if (!known.has(key)) known.set(key, pyramidNear(wanted, most));
        return known.get(key) as number[];
      });
      return make(rows, cols, vectors, most, scales, groupSize);
    },
    random: (rows, cols, rng, groupSize) => {
      const pulses = rng.int(1, most);
      const count = Number(pyramidCount(size, pulses));
      // Whole numbers of any size are slow.
      const pool = Array.from({ length: 256 }, () => {
        return pyramidAt(BigInt(Math.floor(rng.uniform() * count)), size, pulses);
      });
      const vectors = Array.from({ length: rows * Math.ceil(cols / size) }, () => pool[rng.int(0, 255)] as number[]);
      return make(rows, cols, vectors, pulses, rng.gaussians(rows * groupsOf(cols, groupSize)), groupSize);
    },
    pack: (lb, weights, common) => {
      const { indices, pulses } = weights as AnyWeights & { indices: Uint32Array; pulses: number };
      const { groupSize, scales } = whole(weights);
      return pvq.pack(lb, { ...common, groupSize, scales, vectorSize: size, pulses, indices });
    },
  };
}

const tables = new Map<ReferenceCodebook, Int16Array>();
function integersOf(name: ReferenceCodebook): Int16Array {
  const table = tables.get(name) ?? Int16Array.from({ length: 65536 }, (_, s) => trellisWeight(name, s).integer);
  tables.set(name, table);
  return table;
}

/** Streams of tiles. `of` takes streams that the codes asked for say; weights are integers. */
function trellisFormat(bits: TrellisBits, kind: "" | "_i16"): TestFormat {
  const names = (kind === "" ? ["mul1", "1mad"] : ["3inst", "mcg"]) as ReferenceCodebook[];
  const size = (rows: number, cols: number): number => Math.ceil(rows / 16) * Math.ceil(cols / 16) * 16 * bits;
  const make = (rows: number, cols: number, words: Uint16Array, scales: ArrayLike<number>, name: ReferenceCodebook) => {
    const table = integersOf(name);
    const codes = Int16Array.from(trellisMatrix(words, rows, cols), (state) => table[state] as number);
    const [unit, offset] =
      name === "mul1"
        ? [1774 / 2 ** 18, 1534 * (1774 / 2 ** 18) - 10.3828125]
        : [name === "1mad" ? 1 / 147.800537109375 : 2 ** -13, 0];
    const given = Float32Array.from(scales);
    const parts = {
      scales: given.map((scale) => scale * unit),
      ...(offset !== 0 && { offsets: given.map((scale) => scale * offset) }),
    };
    const weights = makeWeights({ rows, cols, planes: 1, codes, ...parts });
    const most = kind === "" ? 32768 : 256;
    return Object.assign(inParts(weights, most, 16), { words, codebook: name, itsScales: given });
  };
  return {
    levels: kind === "" ? [-510, 510, 0, 3] : [-32752, 32752, 0, 5],
    grouped: false,
    of: (rows, cols, codes, scales) => {
      const words = Uint16Array.from({ length: size(rows, cols) }, (_, i) => {
        return ((codes[i % codes.length] as number) * 40503 + (codes[(i * 7) % codes.length] as number) * 9973) & 65535;
      });
      return make(rows, cols, words, scales, names[rows % 2] as ReferenceCodebook);
    },
    random: (rows, cols, rng) => {
      const words = Uint16Array.from({ length: size(rows, cols) }, () => rng.int(0, 65535));
      return make(rows, cols, words, rng.gaussians(rows), names[rng.int(0, 1)] as ReferenceCodebook);
    },
    pack: (lb, weights, { groupSize: _, ...common }) => {
      type Given = { words: Uint16Array; codebook: ReferenceCodebook; itsScales: Float32Array };
      const { words, codebook: name, itsScales: scales } = weights as AnyWeights & Given;
      return trellis.packCodes(lb, { ...common, codebook: name, trellis: words, scales });
    },
  };
}

type TrellisTests = { [key in `trellis${TrellisBits}` | `trellis${TrellisBits}_i16`]: TestFormat };
const trellisFormats = Object.fromEntries(
  TRELLIS_BITS.flatMap((bits) => [
    [`trellis${bits}`, trellisFormat(bits, "")],
    [`trellis${bits}_i16`, trellisFormat(bits, "_i16")],
  ]),
) as TrellisTests;

export const testFormats: Readonly<Record<FormatName, TestFormat>> = {
  binary: planeFormat(1),
  ternary: planeFormat(2),
  bcq: bcqFormat,
  uniform2: uniformFormat(2),
  uniform3: uniformFormat(3),
  uniform4: uniformFormat(4),
  uniform5: uniformFormat(5),
  uniform6: uniformFormat(6),
  uniform8: uniformFormat(8),
  codebook2: codebookFormat(2, ""),
  codebook3: codebookFormat(3, ""),
  codebook4: codebookFormat(4, ""),
  codebook2_i16: codebookFormat(2, "_i16"),
  codebook3_i16: codebookFormat(3, "_i16"),
  codebook4_i16: codebookFormat(4, "_i16"),
  codebook2_rows: codebookFormat(2, "_rows"),
  codebook3_rows: codebookFormat(3, "_rows"),
  codebook4_rows: codebookFormat(4, "_rows"),
  e8p: latticeFormat("e8p"),
  e81b: latticeFormat("e81b"),
  pvq8: vectorFormat(8, 14),
  pvq16: vectorFormat(16, 12),
  ...trellisFormats,
};

/** Group sizes that a format takes, near the wanted ones. */
export function groupSizeNear(format: FormatName, activation: Activation, wanted: number): number {
  const { chunk } = formatOf(format, activation);
  return Math.max(chunk, Math.round(wanted / chunk) * chunk);
}
