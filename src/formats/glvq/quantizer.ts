// Points of learned lattices for gptq.
import { checkFinite, checkFloats, checkInteger, rangeError } from "../../lib/check.ts";
import type { FloatTensor } from "../../lib/floats.ts";
import { type OptionNames, readOptions, settleCopies } from "../../lib/options.ts";
import type { Quantizer } from "../../numeric/gptq.ts";
import { checkGroups, groupsOf } from "../../numeric/shape.ts";
import { Companding, LEAST_MU, MOST_MU } from "./companding.ts";
import { checkBasis, GLVQ_DIMENSIONS, type GlvqBits, type GlvqDimension, Rounding } from "./group.ts";

export interface GlvqQuantizerOptions {
  readonly rows: number;
  /** A multiple of the dimension. */
  readonly cols: number;
  readonly bits: GlvqBits;
  readonly dimension: GlvqDimension;
  /** Columns that share a basis: a multiple of 32, or at least cols. Default, and -1: cols. */
  readonly groupSize?: number;
  /** [groups][d, d]: as `glvq.encode` gives them, and so is what follows. */
  readonly bases: FloatTensor;
  /** [rows]. Default: 1. */
  readonly scales?: FloatTensor;
  /** [groups] */
  readonly mu?: FloatTensor;
  /** [groups]. Default: 1. */
  readonly gains?: FloatTensor;
  /** Those of `glvq.encode`: not read, so that what it gives can be spread here. */
  readonly codes?: Uint8Array;
}

const NAMES: OptionNames<GlvqQuantizerOptions> = {
  rows: [],
  cols: [],
  bits: [],
  dimension: [],
  groupSize: ["group_size"],
  bases: [],
  scales: [],
  mu: [],
  gains: [],
  codes: [],
};

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
export function glvqQuantizer(given: GlvqQuantizerOptions): GlvqQuantizer {
  const where = "glvqQuantizer";
  // Copies: bases and scales are still read when the caller goes on.
  const options = settleCopies(where, readOptions(where, given, NAMES));
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
  const companding = mu && new Companding(new Float32Array(groups), new Float32Array(groups), d);
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
