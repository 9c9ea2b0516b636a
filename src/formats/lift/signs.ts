// Signs b in {-1, 1}^D with M b near a vector w: the encoder of lifted weights (LiftQuant, section 3).
//
// ‖w - M b‖² + λ‖b‖² has the same minimiser for any λ, since ‖b‖² = D, and with λ > 0 it is ‖R b - y‖² + constant for the
// upper triangular R of RᵀR = MᵀM + λI: coordinates are decided one at a time from the last, and a beam keeps the best
// partial vectors (K-best sphere decoding of underdetermined systems: Cui and Tellambura 2005; Guo and Nilsson 2006).
// λ is near the error that remains, 2^(-2 bits) and a third, so that the first coordinates, which are nearly free, count
// for what is expected of them.
import { pow } from "../../numeric/elementary.ts";

/** M [dims, lifted]: each of `dims` weights is a combination of `lifted` signs, lifted / dims bits a weight. */
export interface Projection {
  readonly dims: number;
  /** At most MAX_LIFTED. */
  readonly lifted: number;
  /** [dims, lifted] row-major */
  readonly matrix: Float32Array | Float64Array;
}

/** Signs are held in two words of 32 bits. */
export const MAX_LIFTED = 64;

/** Partial vectors: their costs, and their signs as bits. */
interface Survivors {
  readonly cost: Float64Array;
  readonly low: Int32Array;
  readonly high: Int32Array;
}

function makeSurvivors(beam: number): Survivors {
  return { cost: new Float64Array(beam), low: new Int32Array(beam), high: new Int32Array(beam) };
}

/** Finds signs for one vector after another. */
export interface SignSearch {
  /**
   * @param w [dims] from `at` on
   * @param signs [lifted], written: -1 or 1
   * @returns ‖w - M b‖²
   */
  nearest(w: Float32Array | Float64Array, at: number, signs: Int8Array): number;
}

/** Partial vectors that are kept by default: twice as many lower the error by 0.1 % at most (docs/quantisers.md). */
export const BEAM = 64;

/** Signs that one table entry stands for, and entries of such a table. */
const CHUNK = 8;
const ENTRIES = 1 << CHUNK;

/** Costs are told apart to this many parts of their range when survivors are chosen. */
const BUCKETS = 128;

/** @param beam partial vectors that are kept */
export function signSearch({ dims, lifted, matrix }: Projection, beam = BEAM): SignSearch {
  const lambda = 1.35 * pow(2, (-2 * lifted) / dims);
  const factor = cholesky(gramOf(dims, lifted, matrix), lifted, lambda);
  const tables = rowTables(factor, lifted);
  const chunks = Math.ceil(lifted / CHUNK);
  const target = new Float64Array(lifted);
  const residual = new Float64Array(dims);
  let survivors = makeSurvivors(beam);
  let following = makeSurvivors(beam);
  const childCost = new Float64Array(2 * beam);
  const buckets = new Int32Array(2 * beam);
  const histogram = new Int32Array(BUCKETS + 1);

  // Rᵀ y = Mᵀ w
  function project(w: Float32Array | Float64Array, at: number): void {
    for (let j = 0; j < lifted; j++) {
      let sum = 0;
      for (let i = 0; i < dims; i++) sum += (matrix[i * lifted + j] as number) * (w[at + i] as number);
      for (let i = 0; i < j; i++) sum -= (factor[i * lifted + j] as number) * (target[i] as number);
      target[j] = sum / (factor[j * lifted + j] as number);
    }
  }

  // One coordinate: costs of both signs for each survivor, then about the `beam` best. Returns how many survive.
  function decide(level: number, count: number): number {
    const { cost, low, high } = survivors;
    const { cost: nextCost, low: nextLow, high: nextHigh } = following;
    const diagonal = factor[level * lifted + level] as number;
    const middle = target[level] as number;
    const first = Math.floor(level / CHUNK);
    let least = Number.POSITIVE_INFINITY;
    let most = 0; // of the better sign of each: no more than that many children are below it
    for (let k = 0; k < count; k++) {
      let rest = middle;
      // Coordinates not decided yet have entries of 0.
      for (let chunk = first; chunk < chunks; chunk++) {
        const word = (chunk < 4 ? low[k] : high[k]) as number;
        const index = (word >>> ((chunk & 3) * CHUNK)) & (ENTRIES - 1);
        rest -= tables[(level * chunks + chunk) * ENTRIES + index] as number;
      }
      const before = cost[k] as number;
      const minus = before + (rest + diagonal) * (rest + diagonal);
      const plus = before + (rest - diagonal) * (rest - diagonal);
      childCost[2 * k] = minus;
      childCost[2 * k + 1] = plus;
      const better = Math.min(minus, plus);
      least = Math.min(least, better);
      most = Math.max(most, better);
    }
    const children = 2 * count;
    let cut = BUCKETS;
    if (children > beam) {
      histogram.fill(0);
      const scale = most > least ? (BUCKETS - 1) / (most - least) : 0;
      for (let child = 0; child < children; child++) {
        const bucket = Math.min(((childCost[child] as number) - least) * scale, BUCKETS) | 0;
        buckets[child] = bucket;
        histogram[bucket] = (histogram[bucket] as number) + 1;
      }
      let below = histogram[0] as number;
      for (cut = 1; cut < BUCKETS && below + (histogram[cut] as number) <= beam; cut++) {
        below += histogram[cut] as number;
      }
    } else {
      buckets.fill(0, 0, children);
    }
    let kept = 0;
    for (let child = 0; child < children && kept < beam; child++) {
      const parent = child >> 1;
      const bit = (child & 1) << (level & 31);
      // Written always and counted if kept: whether it is cannot be predicted.
      nextCost[kept] = childCost[child] as number;
      nextLow[kept] = (low[parent] as number) | (level < 32 ? bit : 0);
      nextHigh[kept] = (high[parent] as number) | (level < 32 ? 0 : bit);
      kept += ((buckets[child] as number) - cut) >>> 31;
    }
    [survivors, following] = [following, survivors];
    return kept;
  }

  return {
    nearest(w, at, signs) {
      project(w, at);
      survivors.cost[0] = 0;
      survivors.low[0] = 0;
      survivors.high[0] = 0;
      let count = 1;
      for (let level = lifted - 1; level >= 0; level--) count = decide(level, count);
      const { cost, low, high } = survivors;
      let best = 0;
      for (let k = 1; k < count; k++) if ((cost[k] as number) < (cost[best] as number)) best = k;
      for (let i = 0; i < dims; i++) residual[i] = w[at + i] as number;
      for (let j = 0; j < lifted; j++) {
        const sign = (((j < 32 ? low[best] : high[best]) as number) >>> (j & 31)) & 1 ? 1 : -1;
        signs[j] = sign;
        for (let i = 0; i < dims; i++) {
          residual[i] = (residual[i] as number) - sign * (matrix[i * lifted + j] as number);
        }
      }
      let error = 0;
      for (let i = 0; i < dims; i++) error += (residual[i] as number) * (residual[i] as number);
      return error;
    },
  };
}

/**
 * Σ R[i][j] b_j over the coordinates j > i of eight neighbours, for each of their 256 signs:
 * [lifted rows][chunks][256].
 */
function rowTables(factor: Float64Array, lifted: number): Float64Array {
  const chunks = Math.ceil(lifted / CHUNK);
  const tables = new Float64Array(lifted * chunks * ENTRIES);
  for (let i = 0; i < lifted; i++) {
    for (let chunk = Math.floor(i / CHUNK); chunk < chunks; chunk++) {
      const at = (i * chunks + chunk) * ENTRIES;
      for (let index = 0; index < ENTRIES; index++) {
        let sum = 0;
        for (let bit = 0; bit < CHUNK; bit++) {
          const j = chunk * CHUNK + bit;
          if (j > i && j < lifted) sum += ((index >> bit) & 1 ? 1 : -1) * (factor[i * lifted + j] as number);
        }
        tables[at + index] = sum;
      }
    }
  }
  return tables;
}

/** MᵀM [lifted, lifted] */
function gramOf(dims: number, lifted: number, matrix: Float32Array | Float64Array): Float64Array {
  const gram = new Float64Array(lifted * lifted);
  for (let i = 0; i < dims; i++) {
    for (let j = 0; j < lifted; j++) {
      const m = matrix[i * lifted + j] as number;
      for (let k = 0; k < lifted; k++) {
        gram[j * lifted + k] = (gram[j * lifted + k] as number) + m * (matrix[i * lifted + k] as number);
      }
    }
  }
  return gram;
}

/** Upper triangular R with RᵀR = A + λI, A [n, n] symmetric and positive semidefinite. */
export function cholesky(a: Float64Array, n: number, lambda: number): Float64Array {
  const r = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = i; j < n; j++) {
      let sum = (a[i * n + j] as number) + (i === j ? lambda : 0);
      for (let k = 0; k < i; k++) sum -= (r[k * n + i] as number) * (r[k * n + j] as number);
      r[i * n + j] = i === j ? Math.sqrt(sum) : sum / (r[i * n + i] as number);
    }
  }
  return r;
}
