// Quantizers for gptq: each holds codes in the form that its format's `pack` takes, next to what it was made with.
import {
  checkFinite,
  checkFloats,
  checkInteger,
  checkOptions,
  MAX_COLS,
  MAX_ROWS,
  rangeError,
  typeError,
} from "../check.ts";
import { runNow } from "../progress.ts";
import { Companding, LEAST_MU, MOST_MU } from "../quantize/companding.ts";
import { checkBasis, GLVQ_DIMENSIONS, type GlvqBits, type GlvqDimension, Rounding } from "../quantize/glvq.ts";
import { levelOf, setThresholds } from "../quantize/levels.ts";
import { checkPyramid, PvqRounder, pvqScales } from "../quantize/pvq.ts";
import { roundHalfEven } from "../quantize/scale.ts";
import { type UniformSearch, uniformCodes } from "../quantize/uniform.ts";
import { checkWeights, type GroupShape, groupsOf } from "../quantize/weights.ts";
import type { IndexBits, UniformBits } from "../registry.ts";
import type { Quantizer } from "./gptq.ts";

export interface UniformQuantizerOptions {
  readonly rows: number;
  readonly cols: number;
  readonly bits: UniformBits;
  /** Columns that share a scale. Default: cols. */
  readonly groupSize?: number;
  /** Every zero point is 2^(bits - 1). Default true. */
  readonly symmetric?: boolean;
  /** How scales are found from w before the first column is rounded: as in `uniform.quantize`. Default "mse". */
  readonly search?: UniformSearch;
}

/** Pass its members on to `uniform.pack`. */
export interface UniformQuantizer extends Quantizer {
  /** [rows, cols] */
  readonly codes: Uint8Array;
  /** [rows, groups] */
  readonly scales: Float32Array;
  /** [rows, groups]; absent if symmetric. */
  readonly zeros?: Float32Array;
}

/**
 * Uniform codes with scales from the weights as they are given (what GPTQ calls static groups).
 *
 * @param w [rows, cols] row-major
 * @throws TypeError, RangeError for a wrong argument or NaN or Infinity in w
 */
export function uniformQuantizer(w: Float32Array, options: UniformQuantizerOptions): UniformQuantizer {
  const where = "uniformQuantizer";
  const shape = checkGroups(where, options);
  const { rows, cols, groupSize } = shape;
  const { bits, symmetric = true, search = "mse" } = options;
  const { codes, scales, zeros } = runNow(
    where,
    uniformCodes(where, w, { ...shape, rows }, { bits, symmetric, search }),
  );
  const groups = groupsOf(shape);
  const top = 2 ** bits - 1;
  return {
    blockSize: 1,
    codes,
    scales,
    ...(zeros && { zeros }),
    encode(row, col, values, out) {
      const group = row * groups + Math.floor(col / groupSize);
      const scale = scales[group] as number;
      const zero = zeros ? (zeros[group] as number) : (top + 1) / 2;
      const steps = scale === 0 ? 0 : roundHalfEven((values[0] as number) / scale);
      const code = Math.max(0, Math.min(top, steps + zero));
      codes[row * cols + col] = code;
      out[0] = scale * (code - zero);
    },
  };
}

export interface TableQuantizerOptions {
  readonly rows: number;
  readonly cols: number;
  readonly bits: IndexBits;
  /** [2^bits], or [rows, 2^bits] */
  readonly tables: Float32Array;
  /** [rows, groups]. Default: 1 everywhere. */
  readonly scales?: Float32Array;
  /** Columns that share a scale. Default: cols. */
  readonly groupSize?: number;
}

/** Pass its codes on to `codebook.pack`, with the tables and scales that it was made with. */
export interface TableQuantizer extends Quantizer {
  /** [rows, cols] */
  readonly codes: Uint8Array;
}

/**
 * The nearest entry of a table, or of the table of each row, times a scale a group.
 *
 * @throws TypeError, RangeError for a wrong argument, NaN or Infinity
 */
export function tableQuantizer(options: TableQuantizerOptions): TableQuantizer {
  const where = "tableQuantizer";
  const shape = checkGroups(where, options);
  const { rows, cols, groupSize } = shape;
  const { bits, tables, scales } = options;
  const size = 2 ** checkInteger(`${where}: bits`, bits, 2, 4);
  if (!(tables instanceof Float32Array)) throw typeError(`${where}: tables`, "a Float32Array", tables);
  if (tables.length !== size && tables.length !== rows * size) {
    throw rangeError(`${where}: tables`, `length ${size} or ${rows * size} (rows ${rows})`, String(tables.length));
  }
  checkFinite(`${where}: tables`, tables);
  const groups = groupsOf(shape);
  if (scales !== undefined) {
    checkFloats(`${where}: scales`, scales, rows * groups, `rows ${rows} x groups ${groups}`);
    checkFinite(`${where}: scales`, scales);
  }
  const sorted = Array.from({ length: tables.length / size }, (_, i) =>
    sortTable(tables.subarray(i * size, (i + 1) * size)),
  );
  const codes = new Uint8Array(rows * cols);
  return {
    blockSize: 1,
    codes,
    encode(row, col, values, out) {
      const scale = scales ? (scales[row * groups + Math.floor(col / groupSize)] as number) : 1;
      const table = sorted[sorted.length === 1 ? 0 : row] as SortedTable;
      const place = levelOf(scale === 0 ? 0 : (values[0] as number) / scale, table.thresholds, size);
      codes[row * cols + col] = table.codes[place] as number;
      out[0] = scale * (table.levels[place] as number);
    },
  };
}

interface SortedTable {
  readonly levels: Float64Array;
  readonly codes: Uint8Array;
  readonly thresholds: Float64Array;
}

function sortTable(table: Float32Array): SortedTable {
  const codes = Uint8Array.from(table, (_, code) => code).sort(
    (a, b) => (table[a] as number) - (table[b] as number) || a - b,
  );
  const levels = Float64Array.from(codes, (code) => table[code] as number);
  const thresholds = new Float64Array(levels.length);
  setThresholds(thresholds, levels, levels.length);
  return { levels, codes, thresholds };
}

export interface LatticeQuantizerOptions {
  readonly rows: number;
  readonly cols: number;
  /** Columns of a point. */
  readonly dimension: number;
  /** Writes the point nearest to x: nearestE8, nearestD, or the nearest of a code's points. */
  readonly nearest: (x: Float64Array, out: Float64Array) => unknown;
  /** [1] or [rows]: what points are multiplied by. Not 0. */
  readonly scales: Float32Array;
}

/** What a code of vectors made of the weights. */
export interface LatticeQuantizer extends Quantizer {
  /** [rows, cols]: the points, without scales. */
  readonly points: Float32Array;
}

/**
 * The nearest point of a lattice, or of any code of vectors, times a scale a row.
 *
 * @throws TypeError, RangeError for a wrong argument, NaN or Infinity
 */
export function latticeQuantizer(options: LatticeQuantizerOptions): LatticeQuantizer {
  const where = "latticeQuantizer";
  const { rows, cols } = checkGroups(where, options);
  const { dimension, nearest, scales } = options;
  checkInteger(`${where}: dimension`, dimension, 1, cols);
  if (typeof nearest !== "function") throw typeError(`${where}: nearest`, "a function", nearest);
  if (!(scales instanceof Float32Array)) throw typeError(`${where}: scales`, "a Float32Array", scales);
  if (scales.length !== 1 && scales.length !== rows) {
    throw rangeError(`${where}: scales`, `length 1 or ${rows} (rows ${rows})`, String(scales.length));
  }
  checkFinite(`${where}: scales`, scales);
  const zero = scales.indexOf(0);
  if (zero >= 0) throw rangeError(`${where}: scales`, "numbers that are not 0", `0 at index ${zero}`);
  const points = new Float32Array(rows * cols);
  const scaled = new Float64Array(dimension);
  return {
    blockSize: dimension,
    points,
    encode(row, col, values, out) {
      const scale = scales[scales.length === 1 ? 0 : row] as number;
      for (let i = 0; i < dimension; i++) scaled[i] = (values[i] as number) / scale;
      nearest(scaled, out);
      points.set(out, row * cols + col);
      for (let i = 0; i < dimension; i++) out[i] = (out[i] as number) * scale;
    },
  };
}

export interface PvqQuantizerOptions {
  readonly rows: number;
  readonly cols: number;
  /** 8 or 16 (default). */
  readonly vectorSize?: 8 | 16;
  /** Σ |y|. Default 12. */
  readonly pulses?: number;
  /** Columns that share a scale, a multiple of vectorSize. Default: cols. */
  readonly groupSize?: number;
  /** As of `pvq.quantize`. */
  readonly iterations?: number;
}

/** Pass its members on to `pvq.pack`. */
export interface PvqQuantizer extends Quantizer {
  /** [rows, ceil(cols / vectorSize)] in Fischer's order */
  readonly indices: Uint32Array;
  /** [rows, groups] */
  readonly scales: Float32Array;
}

/**
 * The nearest vectors of a pyramid, with scales from the weights as they are given.
 *
 * @param w [rows, cols] row-major
 * @throws TypeError, RangeError for a wrong argument or NaN or Infinity in w
 */
export function pvqQuantizer(w: Float32Array, options: PvqQuantizerOptions): PvqQuantizer {
  const where = "pvqQuantizer";
  checkOptions(`${where}: options`, options);
  const { iterations = 4 } = options;
  const pyramid = checkPyramid(where, options.vectorSize ?? 16, options.pulses ?? 12);
  const shape = checkGroups(where, options);
  const { cols, groupSize } = shape;
  if (groupSize < cols && groupSize % pyramid.vectorSize !== 0) {
    throw rangeError(`${where}: groupSize`, `a multiple of ${pyramid.vectorSize} (vectorSize)`, groupSize);
  }
  checkInteger(`${where}: iterations`, iterations, 1, 100);
  checkWeights(where, w, shape);
  return new PvqRounder(shape, pyramid, runNow(where, pvqScales(w, shape, pyramid, iterations)));
}

export interface GlvqQuantizerOptions {
  readonly rows: number;
  /** A multiple of the dimension. */
  readonly cols: number;
  readonly bits: GlvqBits;
  readonly dimension: GlvqDimension;
  /** Columns that share a basis: a multiple of 32, or at least cols. Default: cols. */
  readonly groupSize?: number;
  /** [groups][d, d]: as `glvq.encode` gives them, and so is what follows. */
  readonly bases: Float32Array;
  /** [rows]. Default: 1. */
  readonly scales?: Float32Array;
  /** [groups] */
  readonly mu?: Float32Array;
  /** [groups]. Default: 1. */
  readonly gains?: Float32Array;
}

/** Pass its codes on to `glvq.pack`, with what it was made with. */
export interface GlvqQuantizer extends Quantizer {
  /** [rows, cols] */
  readonly codes: Uint8Array;
}

/**
 * A near point of the lattice of each group: Babai's nearest plane, then a search around it, companded or not.
 *
 * @throws TypeError, RangeError for a wrong argument, NaN or Infinity, a singular basis
 */
export function glvqQuantizer(options: GlvqQuantizerOptions): GlvqQuantizer {
  const where = "glvqQuantizer";
  const shape = checkGroups(where, options);
  const { rows, cols, groupSize } = shape;
  const { bases, scales, mu, gains } = options;
  const bits = checkInteger(`${where}: bits`, options.bits, 2, mu ? 2 : 4);
  const d = options.dimension;
  if (!GLVQ_DIMENSIONS.includes(d)) throw rangeError(`${where}: dimension`, GLVQ_DIMENSIONS.join(", "), String(d));
  if (cols % d !== 0) throw rangeError(`${where}: cols`, `a multiple of ${d} (dimension)`, String(cols));
  if (groupSize < cols && groupSize % 32 !== 0) {
    throw rangeError(`${where}: groupSize`, "a multiple of 32", String(groupSize));
  }
  const groups = groupsOf(shape);
  checkFinite(
    `${where}: bases`,
    checkFloats(`${where}: bases`, bases, groups * d * d, `groups ${groups} x ${d} x ${d}`),
  );
  if (scales) checkFinite(`${where}: scales`, checkFloats(`${where}: scales`, scales, rows, `rows ${rows}`));
  const companding = mu && new Companding(groups, d);
  if (companding) {
    const each = checkFloats(`${where}: mu`, mu, groups, `groups ${groups}`);
    const bad = each.findIndex((value) => !(value >= LEAST_MU && value <= MOST_MU));
    if (bad >= 0) throw rangeError(`${where}: mu`, `${LEAST_MU} to ${MOST_MU}`, `${each[bad]} at index ${bad}`);
    companding.mu.set(each);
    companding.gains.fill(1);
    if (gains) companding.gains.set(checkFloats(`${where}: gains`, gains, groups, `groups ${groups}`));
    checkFinite(`${where}: gains`, companding.gains);
  }
  const most = 2 ** (bits - 1) - 0.5;
  const lattices = Array.from({ length: groups }, (_, group) => {
    const basis = bases.subarray(group * d * d, (group + 1) * d * d);
    checkBasis(`${where}: bases: group ${group}`, basis, d);
    return { basis, rounding: new Rounding(basis, d, most), companded: companding?.code(group, basis) };
  });
  const codes = new Uint8Array(rows * cols);
  const v = new Float64Array(d);
  const target = new Float64Array(d);
  const z = new Float64Array(d);
  const weights = new Float64Array(d).fill(1);
  return {
    blockSize: d,
    codes,
    encode(row, col, values, out) {
      const scale = scales ? (scales[row] as number) : 1;
      const group = Math.floor(col / groupSize);
      const { basis, rounding, companded } = lattices[group] as (typeof lattices)[0];
      const found = codes.subarray(row * cols + col, row * cols + col + d);
      if (scale === 0) {
        out.fill(0);
        return;
      }
      for (let i = 0; i < d; i++) v[i] = (values[i] as number) / scale;
      target.set(v);
      companding?.compress(group, target, weights);
      rounding.nearest(target, z, weights, true);
      for (let i = 0; i < d; i++) found[i] = (z[i] as number) + most;
      if (companded) {
        companded.improve(v, found, d);
        companded.decode(found, out);
      } else {
        for (let i = 0; i < d; i++) {
          let sum = 0;
          for (let j = 0; j < d; j++) sum += (basis[i * d + j] as number) * (z[j] as number);
          out[i] = sum;
        }
      }
      for (let i = 0; i < d; i++) out[i] = scale * (out[i] as number);
    },
  };
}

function checkGroups(where: string, options: { rows: number; cols: number; groupSize?: number }): GroupShape {
  checkOptions(`${where}: options`, options);
  const rows = checkInteger(`${where}: rows`, options.rows, 1, MAX_ROWS);
  const cols = checkInteger(`${where}: cols`, options.cols, 1, MAX_COLS);
  return { rows, cols, groupSize: checkInteger(`${where}: groupSize`, options.groupSize ?? cols, 1, MAX_COLS) };
}
