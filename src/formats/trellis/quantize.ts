// Paths through the trellis of 16-bit states whose weights are nearest to a tile: Viterbi's algorithm over all states, or a
// beam of the best. The next state is (state << bits | code) modulo 2^16, and the end of a path meets its beginning
// (tail-biting, arXiv 2406.11235): a first pass over the neighbourhood of the seam says in which state it is crossed, a second
// one over the tile keeps to it.
import type { TrellisBits } from "../../kernels/types.ts";
import { inParts, joinRows, type PartTask } from "../../lib/parts.ts";
import type { Steps } from "../../lib/progress.ts";
import type { Quantizer } from "../../numeric/gptq.ts";
import type { MatrixShape } from "../../numeric/shape.ts";
import { TILE, TILE_WEIGHTS, tilePlaces, writeStream } from "./bytes.ts";
import { CODEBOOKS, STATES, type TrellisCodebook, trellisIntegers } from "./tables.ts";

const STATE_BITS = 16;
/** Weights on each side of the seam that the first pass looks at: four times as many as a state remembers with 1 bit. */
const SEAM = 64;
/** Buckets by cost of what a step leaves to choose from. */
const BUCKETS = 512;

/** Finds paths; holds the working space of one. */
export interface TrellisSearch {
  /**
   * @param target [256] in units of the table, in the order of the stream
   * @param states [256], written
   */
  find(target: Float64Array, states: Uint16Array): void;
}

/** What both searches do: passes, and steps over all states. */
abstract class Search implements TrellisSearch {
  protected readonly bits: number;
  /** Bits of a state that the next one keeps. */
  protected readonly kept: number;
  protected readonly table: Float32Array;
  protected readonly target = new Float64Array(2 * TILE_WEIGHTS);
  /** Of the paths to each state. */
  protected readonly costs = new Float32Array(STATES);
  readonly #path = new Uint16Array(2 * SEAM);
  readonly #least: Float32Array;
  readonly #back: Uint8Array;

  /** @param steps of Viterbi's algorithm, at most */
  constructor(table: Float32Array, bits: number, steps: number) {
    this.table = table;
    this.bits = bits;
    this.kept = STATE_BITS - bits;
    this.#least = new Float32Array(1 << this.kept);
    this.#back = new Uint8Array(steps << this.kept);
  }

  find(target: Float64Array, states: Uint16Array): void {
    this.target.set(target);
    this.target.set(target, TILE_WEIGHTS);
    this.run(TILE_WEIGHTS - SEAM, 2 * SEAM, -1, this.#path);
    const seam = (this.#path[SEAM - 1] as number) & ((1 << this.kept) - 1);
    this.run(0, TILE_WEIGHTS, seam, states);
  }

  /**
   * The path of least cost, among those that are looked at, for `count` weights from `begin` on.
   * @param seam what the states before the first and at the last weight have in their lowest bits; -1: anything
   */
  protected abstract run(begin: number, count: number, seam: number, path: Uint16Array): void;

  /** Viterbi's algorithm for `count` weights from `costs` on, to path[at ..]. Returns the state before the first. */
  protected viterbi(begin: number, count: number, seam: number, path: Uint16Array, at: number): number {
    const { bits, kept, table, target, costs } = this;
    const least = this.#least;
    const back = this.#back;
    const groups = 1 << kept;
    const fan = 1 << bits;
    for (let t = 0; t < count; t++) {
      const from = t << kept;
      // States that the next one cannot tell apart differ in their highest bits.
      for (let group = 0; group < groups; group++) {
        let best = costs[group] as number;
        let which = 0;
        for (let h = 1, state = group + groups; h < fan; h++, state += groups) {
          const cost = costs[state] as number;
          if (cost < best) {
            best = cost;
            which = h;
          }
        }
        least[group] = best;
        back[from + group] = which;
      }
      const x = target[begin + t] as number;
      for (let group = 0, state = 0; group < groups; group++) {
        const base = least[group] as number;
        for (let i = 0; i < fan; i++, state++) {
          const d = x - (table[state] as number);
          costs[state] = base + d * d;
        }
      }
    }
    const step = seam < 0 ? 1 : groups;
    let state = Math.max(seam, 0);
    for (let s = state; s < STATES; s += step) if ((costs[s] as number) < (costs[state] as number)) state = s;
    for (let t = count - 1; t >= 0; t--) {
      path[at + t] = state;
      const group = state >> bits;
      state = ((back[(t << kept) + group] as number) << kept) | group;
    }
    return state;
  }
}

/** Viterbi's algorithm: the least cost of all paths. 2^17 steps a weight. */
export class FullSearch extends Search {
  constructor(table: Float32Array, bits: number) {
    super(table, bits, TILE_WEIGHTS);
  }

  protected run(begin: number, count: number, seam: number, path: Uint16Array): void {
    const { costs, kept } = this;
    if (seam < 0) costs.fill(0);
    else {
      costs.fill(Number.POSITIVE_INFINITY);
      for (let state = seam; state < STATES; state += 1 << kept) costs[state] = 0;
    }
    this.viterbi(begin, count, seam, path, 0);
  }
}

/**
 * The best `width` states a weight (the M algorithm), where those that the next ones cannot tell apart are one. From few
 * states the seam is only reached by paths that are bad before it, so the last weights are left to Viterbi's algorithm: as
 * many as it takes to change all bits of a state twice.
 */
export class BeamSearch extends Search {
  readonly #width: number;
  /** Weights that Viterbi's algorithm sees. */
  readonly #last: number;
  /** Of each step the states that were kept and, of each, the place of the one before it. */
  readonly #states: Uint16Array;
  readonly #parents: Uint16Array;
  readonly #costs: Float64Array;
  /** By the bits that are kept: the step that met them, and where. */
  readonly #met: Float64Array;
  readonly #place: Uint16Array;
  #time = 0;
  readonly #bases: Uint16Array;
  readonly #baseCosts: Float64Array;
  readonly #baseParents: Uint16Array;
  readonly #found: Uint16Array;
  readonly #foundCosts: Float64Array;
  readonly #foundParents: Uint16Array;
  readonly #buckets = new Int32Array(BUCKETS);
  /** How far above the best base a cost may be. */
  #reach = Number.POSITIVE_INFINITY;

  constructor(table: Float32Array, bits: number, width: number) {
    const last = 2 * Math.ceil(STATE_BITS / bits);
    super(table, bits, last);
    this.#width = width;
    this.#last = last;
    this.#states = new Uint16Array(TILE_WEIGHTS * width);
    this.#parents = new Uint16Array(TILE_WEIGHTS * width);
    this.#costs = new Float64Array(width);
    this.#met = new Float64Array(1 << this.kept);
    this.#place = new Uint16Array(1 << this.kept);
    this.#bases = new Uint16Array(width);
    this.#baseCosts = new Float64Array(width);
    this.#baseParents = new Uint16Array(width);
    const most = Math.max(width << bits, STATES);
    this.#found = new Uint16Array(most);
    this.#foundCosts = new Float64Array(most);
    this.#foundParents = new Uint16Array(most);
  }

  protected run(begin: number, count: number, seam: number, path: Uint16Array): void {
    const { target } = this;
    const width = this.#width;
    const states = this.#states;
    const parents = this.#parents;
    const steps = seam < 0 ? count : count - this.#last;
    this.#reach = Number.POSITIVE_INFINITY;
    let n = seam < 0 ? this.#begin(target[begin] as number) : this.#beginAt(target[begin] as number, seam);
    for (let t = 1; t < steps; t++) n = this.#step(t, this.#merge(t - 1, n), target[begin + t] as number);
    let best = 0;
    if (seam < 0) {
      for (let i = 1; i < n; i++) if ((this.#costs[i] as number) < (this.#costs[best] as number)) best = i;
    } else {
      const kept = states.subarray((steps - 1) * width, (steps - 1) * width + n);
      // Float32 costs are those above the least.
      const low = this.#costs.subarray(0, n).reduce((a, b) => Math.min(a, b));
      this.costs.fill(Number.POSITIVE_INFINITY);
      for (let i = 0; i < n; i++) this.costs[kept[i] as number] = (this.#costs[i] as number) - low;
      best = kept.indexOf(this.viterbi(begin + steps, this.#last, seam, path, steps));
    }
    for (let t = steps - 1; t >= 0; t--) {
      path[t] = states[t * width + best] as number;
      best = parents[t * width + best] as number;
    }
  }

  // Any state may come first.
  #begin(x: number): number {
    for (let state = 0; state < STATES; state++) {
      const d = x - (this.table[state] as number);
      this.#found[state] = state;
      this.#foundCosts[state] = d * d;
      this.#foundParents[state] = 0;
    }
    return this.#keep(0, STATES, 0);
  }

  #beginAt(x: number, seam: number): number {
    this.#bases[0] = seam;
    this.#baseCosts[0] = 0;
    this.#baseParents[0] = 0;
    return this.#step(0, 1, x);
  }

  // From the n states kept at step t to bases: the bits that the next ones have of them, with the best of each.
  #merge(t: number, n: number): number {
    const mask = (1 << this.kept) - 1;
    const from = t * this.#width;
    const time = ++this.#time;
    let bases = 0;
    for (let i = 0; i < n; i++) {
      const base = (this.#states[from + i] as number) & mask;
      const cost = this.#costs[i] as number;
      let at = this.#place[base] as number;
      if (this.#met[base] !== time) {
        this.#met[base] = time;
        this.#place[base] = bases;
        at = bases++;
      } else if (cost >= (this.#baseCosts[at] as number)) continue;
      this.#bases[at] = base;
      this.#baseCosts[at] = cost;
      this.#baseParents[at] = i;
    }
    return bases;
  }

  // From bases to the states kept at step t.
  #step(t: number, bases: number, x: number): number {
    const { bits, table } = this;
    const fan = 1 << bits;
    const found = this.#found;
    const costs = this.#foundCosts;
    const from = this.#foundParents;
    let low = this.#baseCosts[0] as number;
    for (let i = 1; i < bases; i++) low = Math.min(low, this.#baseCosts[i] as number);
    // What is far above the best would not be kept; how far is learnt from the steps before.
    const enough = Math.min(0.75 * this.#width, bases * fan);
    for (;;) {
      const most = low + this.#reach;
      let n = 0;
      for (let i = 0; i < bases; i++) {
        const base = this.#baseCosts[i] as number;
        if (base > most) continue;
        const first = (this.#bases[i] as number) << bits;
        const parent = this.#baseParents[i] as number;
        for (let state = first; state < first + fan; state++) {
          const d = x - (table[state] as number);
          const cost = base + d * d;
          if (cost > most) continue;
          found[n] = state;
          costs[n] = cost;
          from[n++] = parent;
        }
      }
      // Few are near where a weight is far from all that the codebook has next: then more of them count.
      if (n >= enough) return this.#keep(t, n, low);
      this.#reach *= 2;
    }
  }

  // Keeps the best of n found states, whose costs are not below `low`.
  #keep(t: number, n: number, low: number): number {
    const width = this.#width;
    const costs = this.#foundCosts;
    let limit = Number.POSITIVE_INFINITY;
    if (n > width) {
      limit = this.#limit(n, low);
      this.#reach = Math.max(1.25 * (limit - low), 1e-30);
    }
    const at = t * width;
    let m = 0;
    for (let i = 0; i < n && m < width; i++) {
      const cost = costs[i] as number;
      if (cost > limit) continue;
      this.#states[at + m] = this.#found[i] as number;
      this.#parents[at + m] = this.#foundParents[i] as number;
      this.#costs[m++] = cost;
    }
    return m;
  }

  // A cost that about `width` of n are not above. Where most are far above it, the buckets narrow down.
  #limit(n: number, low: number): number {
    const buckets = this.#buckets;
    const costs = this.#foundCosts;
    let high = low + this.#reach;
    if (!Number.isFinite(high)) {
      high = low;
      for (let i = 0; i < n; i++) high = Math.max(high, costs[i] as number);
    }
    for (let round = 0; ; round++) {
      const scale = BUCKETS / (high - low);
      if (!Number.isFinite(scale)) return high;
      buckets.fill(0);
      for (let i = 0; i < n; i++) {
        const bucket = ((costs[i] as number) - low) * scale;
        if (bucket < BUCKETS) buckets[bucket | 0] = (buckets[bucket | 0] as number) + 1;
      }
      let sum = 0;
      let bucket = 0;
      while (bucket < BUCKETS && sum + (buckets[bucket] as number) <= this.#width) sum += buckets[bucket++] as number;
      // Of a bucket that is too full only some are kept: many may cost the same.
      if (sum > this.#width * 0.9 || round === 3) return low + (sum > 0 ? bucket : bucket + 1) / scale;
      high = low + (bucket + 1) / scale;
    }
  }
}

/** What a table of rms 1 is multiplied by to be nearest to Gaussian weights of rms 1, found by experiment. */
const SPREAD: Readonly<Record<TrellisBits, number>> = {
  1: 1,
  2: 1.04,
  3: 1.04,
  4: 1.04,
  5: 1.04,
  6: 1.04,
  7: 1.04,
  8: 1.04,
};

/** Weights of all states, and what they are multiplied by to be nearest to Gaussian ones of rms 1. */
export function makeTable(codebook: TrellisCodebook, bits: TrellisBits): { table: Float32Array; scale: number } {
  const { unit, offset } = CODEBOOKS[codebook];
  const table = Float32Array.from(trellisIntegers(codebook), (integer) => integer * unit + offset);
  let power = 0;
  for (const value of table) power += value * value;
  return { table, scale: Math.fround(SPREAD[bits] / Math.sqrt(power / STATES)) };
}

/** Rounds tiles of 16 x 16 weights to scale · the path that a search finds, and keeps the published streams. */
export class TrellisQuantizer implements Quantizer {
  readonly blockSize = TILE;
  readonly together = TILE;
  /** [column tile][row tile][16 · bits] */
  readonly trellis: Uint16Array;
  readonly #bits: number;
  readonly #rowTiles: number;
  readonly #table: Float32Array;
  readonly #scale: number;
  readonly #search: TrellisSearch;
  readonly #places = tilePlaces();
  readonly #target = new Float64Array(TILE_WEIGHTS);
  readonly #states = new Uint16Array(TILE_WEIGHTS);

  constructor({ rows, cols }: MatrixShape, bits: number, table: Float32Array, scale: number, search: TrellisSearch) {
    this.#bits = bits;
    this.#rowTiles = rows / TILE;
    this.#table = table;
    this.#scale = scale;
    this.#search = search;
    this.trellis = new Uint16Array((rows / TILE) * cols * bits);
  }

  encode(row: number, col: number, values: Float64Array, out: Float64Array): void {
    const places = this.#places;
    const target = this.#target;
    const states = this.#states;
    for (let i = 0; i < TILE_WEIGHTS; i++) target[places[i] as number] = (values[i] as number) / this.#scale;
    this.#search.find(target, states);
    for (let i = 0; i < TILE_WEIGHTS; i++) {
      out[i] = this.#scale * (this.#table[states[places[i] as number] as number] as number);
    }
    const size = TILE * this.#bits;
    const at = ((col / TILE) * this.#rowTiles + row / TILE) * size;
    writeStream(states, this.#bits, this.trellis.subarray(at, at + size));
  }
}

/** Paths for all tiles of w [rows, cols], multiples of 16. */
function* trellisTiles(w: Float32Array, { rows, cols }: MatrixShape, quantizer: TrellisQuantizer): Steps<void> {
  const values = new Float64Array(TILE_WEIGHTS);
  const out = new Float64Array(TILE_WEIGHTS);
  for (let row = 0; row < rows; row += TILE) {
    for (let col = 0; col < cols; col += TILE) {
      for (let i = 0; i < TILE; i++)
        values.set(w.subarray((row + i) * cols + col, (row + i) * cols + col + TILE), i * TILE);
      quantizer.encode(row, col, values, out);
      // A tile takes milliseconds.
      yield (row * cols + col * TILE) / w.length;
    }
  }
}

/** How a layer of rotated weights is quantised. */
export interface TrellisFit {
  readonly bits: TrellisBits;
  readonly codebook: TrellisCodebook;
  /** States that a beam keeps, or all. */
  readonly search: number | "full";
}

/** The quantizer of a layer, with tables of its own. */
export function trellisQuantizer(shape: MatrixShape, { bits, codebook, search }: TrellisFit): TrellisQuantizer {
  const { table, scale } = makeTable(codebook, bits);
  const finder = search === "full" ? new FullSearch(table, bits) : new BeamSearch(table, bits, search);
  return new TrellisQuantizer(shape, bits, table, scale, finder);
}

interface Args {
  readonly w: Float32Array;
  readonly cols: number;
  readonly fit: TrellisFit;
}

/** [column tile][row tile][16 · bits] of rows of tiles. */
export const trellisTask: PartTask<Args, Uint16Array> = {
  name: "trellis",
  *run({ w, cols, fit }) {
    const shape = { rows: w.length / cols, cols };
    const quantizer = trellisQuantizer(shape, fit);
    yield* trellisTiles(w, shape, quantizer);
    return quantizer.trellis;
  },
};

/** The streams of all tiles of w [rows, cols], multiples of 16, each by itself. */
export function trellisInParts(w: Float32Array, { rows, cols }: MatrixShape, fit: TrellisFit): Steps<Uint16Array> {
  const size = TILE * cols;
  return inParts(trellisTask, {
    units: rows / TILE,
    // 0.08 µs a weight and state of a beam; 2^17 steps of 2 ns where all are looked at.
    time: w.length * (fit.search === "full" ? 0.25 : 1e-3 + fit.search * 8e-5),
    part: (begin, end) => ({ w: w.subarray(begin * size, end * size), cols, fit }),
    join: (parts) => joinRows(parts, cols / TILE),
  });
}
