// μ-law companding of groups of lattice vectors: what is searched are points for F(w), then those whose stored tables give
// the least error.
import type { Steps } from "../../lib/progress.ts";
import { log1p, tanh } from "../../numeric/elementary.ts";
import { STEP_WEIGHTS } from "../../numeric/shape.ts";
import type { GroupFit, Moments } from "./group.ts";
import { compress, decodeColumn, makeTable, UNITS } from "./tables.ts";

/** The weight that F takes to 1, in standard deviations of the group: nearer ones leave the outer levels too far out. */
const REACH = 6;
export const LEAST_MU = 10;
export const MOST_MU = 255;

/** μ = 100 tanh(κ / 10), κ the kurtosis, within 10 to 255. */
export function kurtosisMu({ second, fourth }: Moments): number {
  const kurtosis = second > 0 ? fourth / (second * second) : 0;
  return Math.max(LEAST_MU, Math.min(MOST_MU, 100 * tanh(kurtosis / 10)));
}

/** Rounds of `refine` over the coordinates of a vector. */
const SWEEPS = 2;

export interface CompandedCode {
  /** [d] codes to weights */
  decode(codes: Uint8Array, out: Float64Array): void;
  /** Improves codes for v, of which the first `count` matter. */
  improve(v: Float64Array, codes: Uint8Array, count: number): void;
}

export class Companding {
  readonly mu: Float32Array;
  readonly gains: Float32Array;
  readonly #d: number;

  /** @param mu, gains of each group, written by `set` */
  constructor(mu: Float32Array, gains: Float32Array, d: number) {
    this.mu = mu;
    this.gains = gains;
    this.#d = d;
  }

  set(group: number, mu: number, { second }: Moments): void {
    this.mu[group] = mu;
    this.gains[group] = REACH * Math.sqrt(second);
  }

  /** v → F(v / gain), and by how much its square error counts: that of v, to first order. */
  compress(group: number, v: Float64Array, weights: Float64Array): void {
    const mu = this.mu[group] as number;
    const gain = this.gains[group] as number;
    const log = log1p(mu);
    for (let i = 0; i < v.length; i++) {
      const value = gain === 0 ? 0 : Math.min(1, Math.abs(v[i] as number) / gain);
      const slope = (log * (1 + mu * value)) / mu;
      weights[i] = slope * slope;
      v[i] = Math.sign(v[i] as number) * compress(value, mu);
    }
  }

  /** Moves coordinates by one step while what the tables give comes nearer to the weights. */
  *refine(group: number, fit: GroupFit, codes: Uint8Array): Steps<void> {
    const { improve } = this.code(group, fit.basis);
    const v = new Float64Array(this.#d);
    let since = 0;
    for (let row = 0; row < fit.rows; row++) {
      for (let i = 0; i < fit.vectors.perRow; i++) {
        const at = fit.place(row, i);
        if (fit.read(row, i, v)) improve(v, codes.subarray(at, at + this.#d), fit.count(i));
      }
      since += fit.vectors.width;
      if (since < STEP_WEIGHTS / 4) continue;
      since = 0;
      yield row / fit.rows;
    }
  }

  /** Codes of vectors of one group. */
  code(group: number, basis: Float32Array): CompandedCode {
    const d = this.#d;
    const table = makeTable(basis, this.mu[group] as number, d);
    const unit = ((this.gains[group] as number) * table.unit) / UNITS;
    const { sums, levels } = table;
    const nibbles = new Uint8Array(d / 2);
    const setNibbles = (codes: Uint8Array): void => {
      for (let p = 0; p < nibbles.length; p++) {
        nibbles[p] = (codes[2 * p] as number) | ((codes[2 * p + 1] as number) << 2);
      }
    };
    const decode = (codes: Uint8Array, out: Float64Array): void => {
      setNibbles(codes);
      for (let c = 0; c < d; c++) out[c] = unit * decodeColumn(table, c, nibbles);
    };
    // Sums of each column as they are before they saturate, which is where nearly all of them stay.
    const y = new Int32Array(d);
    // The error with nibble p in the place of what is in y.
    const errorWith = (v: Float64Array, count: number, p: number, nibble: number): number => {
      const old = nibbles[p] as number;
      let error = 0;
      for (let c = 0, at = p * 16; c < count; c++, at += d * 8) {
        const sum = (y[c] as number) + (sums[at + nibble] as number) - (sums[at + old] as number);
        const clamped = Math.max(-128, Math.min(127, sum));
        const level = clamped < 0 ? -(levels[~clamped >> 2] as number) : (levels[clamped >> 2] as number);
        const difference = (v[c] as number) - unit * level;
        error += difference * difference;
      }
      return error;
    };
    const improve = (v: Float64Array, codes: Uint8Array, count: number): void => {
      setNibbles(codes);
      for (let c = 0, at = 0; c < d; c++) {
        let sum = 0;
        for (let p = 0; p < nibbles.length; p++, at += 16) sum += sums[at + (nibbles[p] as number)] as number;
        y[c] = sum;
      }
      let best = errorWith(v, count, 0, nibbles[0] as number);
      for (let sweep = 0; sweep < SWEEPS; sweep++) {
        const before = best;
        for (let j = 0; j < d; j++) {
          const p = j >> 1;
          const shift = 2 * (j & 1);
          const old = nibbles[p] as number;
          let kept = old;
          for (const by of [-1, 1]) {
            const code = ((old >> shift) & 3) + by;
            if (code < 0 || code > 3) continue;
            const nibble = (old & ~(3 << shift)) | (code << shift);
            const error = errorWith(v, count, p, nibble);
            if (!(error < best)) continue;
            best = error;
            kept = nibble;
          }
          if (kept === old) continue;
          for (let c = 0, at = p * 16; c < d; c++, at += d * 8) {
            y[c] = (y[c] as number) + (sums[at + kept] as number) - (sums[at + old] as number);
          }
          nibbles[p] = kept;
        }
        if (best === before) break;
      }
      for (let j = 0; j < d; j++) codes[j] = ((nibbles[j >> 1] as number) >> (2 * (j & 1))) & 3;
    };
    return { decode, improve };
  }
}
