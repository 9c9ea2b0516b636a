/** What `--format` can make of bfloat16 weights while they are loaded. */
import {
  type Activation,
  bcq,
  binary,
  codebook,
  e8p,
  fairy2i,
  glvq,
  type IndexBits,
  type Lowbit,
  lift,
  type Matrix,
  pvq,
  ternary,
  type UniformBits,
  uniform,
} from "lowbit";

export const SEARCHES = ["minmax", "mse"] as const;
export type Search = (typeof SEARCHES)[number];

/** Every format that has groups can cut its columns at multiples of this. */
export const GROUP_STEP = 32;

export interface QuantizeOptions {
  readonly rows: number;
  readonly cols: number;
  /** Columns that share a scale: given to formats that have a `groupSize`, and only to them. */
  readonly groupSize?: number;
  /** How uniform formats find scales. */
  readonly search?: Search;
  readonly activation: Activation;
}

export interface Format {
  /** How far the loss may be from the reference's, in nats per byte: README.md has what is measured. */
  readonly maxLossDifference: number;
  /** Columns that share a scale by default. Absent: the format itself says what shares one. */
  readonly groupSize?: number;
  readonly activations: readonly Activation[];
  readonly searches: boolean;
  /** @param w [rows, cols] */
  readonly quantize: (lb: Lowbit, w: Float32Array, options: QuantizeOptions) => Matrix;
}

/**
 * By bits of a weight. From 4 bits on it is what is asked of a format; below, the largest difference of a format with
 * its default groups, and room of a third of that or more.
 */
const LIMITS = { 1: 1, 2: 0.08, 3: 0.03, 4: 0.02, 5: 0.01, 6: 0.01, 7: 0.01, 8: 0.005 } as const;
const TERNARY_LIMIT = 0.5;
const FAIRY2I_LIMIT = 0.05;
const GLVQ_LIMIT = 0.07;
const PVQ_LIMIT = 0.06;
/** Of formats that rotate the weights, which brings their errors closer together; all with room, as above. */
const ROTATED_LIMITS = { 2: 0.03, 2.4: 0.03, 3: 0.015, 4: 0.01 } as const;

function uniformFormat(bits: UniformBits): Format {
  return {
    maxLossDifference: LIMITS[bits],
    groupSize: 64,
    activations: ["int8", "f32"],
    searches: true,
    quantize: (lb, w, options) => uniform.quantize(lb, w, { ...options, bits }),
  };
}

/** Each plane has scales of its own, so groups are longer than elsewhere. */
function bcqFormat(bits: keyof typeof LIMITS): Format {
  // The work of a step doubles with each plane, and with many it brings nothing that the rounding of activations does
  // not drown: evenly spaced levels, from which the fit starts, are good enough.
  const iterations = bits < 6 ? 15 : 0;
  return {
    maxLossDifference: LIMITS[bits],
    groupSize: 128,
    activations: ["int8", "lut8", "f32"],
    searches: false,
    quantize: (lb, w, options) => bcq.quantize(lb, w, { ...options, bits, iterations }),
  };
}

/** Published tables. NF4 and FP4 take any group; MXFP4 and NVFP4 have blocks of 32 and 16. */
function tableFormat(table: "nf4" | "fp4" | "mxfp4" | "nvfp4"): Format {
  return {
    maxLossDifference: LIMITS[4],
    ...((table === "nf4" || table === "fp4") && { groupSize: 64 }),
    activations: ["int8", "f32"],
    searches: false,
    quantize: (lb, w, options) => codebook.quantize(lb, w, { ...options, bits: 4, table }),
  };
}

/** A table a row, fitted by k-means, and no scales. */
function codebookFormat(bits: IndexBits): Format {
  return {
    maxLossDifference: LIMITS[bits],
    activations: ["int8", "f32"],
    searches: false,
    quantize: (lb, w, options) => codebook.quantize(lb, w, { ...options, bits, table: "rows" }),
  };
}

/** What models are trained with, for one that was not. */
function signFormat(format: typeof binary | typeof ternary, maxLossDifference: number): Format {
  return {
    maxLossDifference,
    groupSize: 64,
    activations: ["int8", "lut8", "f32"],
    searches: false,
    quantize: (lb, w, options) => format.quantize(lb, w, options),
  };
}

/** Signs in more dimensions than there are columns, and a projection from there to whitened weights. A scale a row. */
function liftFormat(bits: 2 | 2.4 | 3): Format {
  return {
    maxLossDifference: ROTATED_LIMITS[bits],
    activations: ["int8", "lut8", "f32"],
    searches: false,
    quantize: (lb, w, { rows, cols, activation }) => lift.quantize(lb, w, { rows, cols, activation, bits }),
  };
}

/** Points of E8 for weights that are rotated on both sides. One scale a matrix. */
function e8pFormat(bits: 2 | 3 | 4): Format {
  return {
    maxLossDifference: ROTATED_LIMITS[bits],
    activations: ["int8", "f32"],
    searches: false,
    // Not the --seed of the text: the same weights each time.
    quantize: (lb, w, { rows, cols, activation }) => e8p.quantize(lb, w, { rows, cols, activation, bits, seed: 0 }),
  };
}

/** Lattice vectors with a basis for every 128 columns. A scale a row. */
const glvqFormat: Format = {
  maxLossDifference: GLVQ_LIMIT,
  activations: ["int8", "f32"],
  searches: false,
  quantize: (lb, w, { rows, cols, activation }) => glvq.quantize(lb, w, { rows, cols, activation }),
};

/** Vectors of a pyramid for weights that are rotated on both sides, 2 bits. A scale a row. */
const pvqFormat: Format = {
  maxLossDifference: PVQ_LIMIT,
  activations: ["int8", "f32"],
  searches: false,
  quantize: (lb, w, { rows, cols, activation }) => pvq.quantize(lb, w, { rows, cols, activation, rotate: true }),
};

/** What `fairy2` is trained with, for a model that was not. */
const fairy2iFormat: Format = {
  maxLossDifference: FAIRY2I_LIMIT,
  activations: ["int8", "lut8", "f32"],
  searches: false,
  quantize: (lb, w, { rows, cols, activation }) => fairy2i.quantize(lb, w, { rows, cols, activation, stages: 2 }),
};

export const FORMATS: ReadonlyMap<string, Format> = new Map([
  ...([2, 3, 4, 5, 6, 8] as const).map((bits) => [`uniform${bits}`, uniformFormat(bits)] as const),
  ...([1, 2, 3, 4, 5, 6, 7, 8] as const).map((bits) => [`bcq${bits}`, bcqFormat(bits)] as const),
  ...(["nf4", "fp4", "mxfp4", "nvfp4"] as const).map((table) => [table, tableFormat(table)] as const),
  ...([2, 3, 4] as const).map((bits) => [`codebook${bits}`, codebookFormat(bits)] as const),
  ["lift2", liftFormat(2)],
  ["lift2.4", liftFormat(2.4)],
  ["lift3", liftFormat(3)],
  ["e8p", e8pFormat(2)],
  ["e8p3", e8pFormat(3)],
  ["e8p4", e8pFormat(4)],
  ["glvq", glvqFormat],
  ["pvq", pvqFormat],
  ["fairy2i", fairy2iFormat],
  ["binary", signFormat(binary, LIMITS[1])],
  ["ternary", signFormat(ternary, TERNARY_LIMIT)],
]);
