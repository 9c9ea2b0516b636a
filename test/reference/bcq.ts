/** Planes of signs with their alphas, as interchange bytes. */
export interface Planes {
  bits: number;
  rows: number;
  cols: number;
  groupSize: number;
  /** [bits][rows][ceil(cols / 8)] */
  planes: Uint8Array;
  /** [bits][rows, groups] */
  alphas: Float32Array;
  /** [rows, groups] */
  offsets?: Float32Array | undefined;
}

/** One group of one row: its first weight, signs and parameters. */
export interface PlaneGroup {
  start: number;
  /** [bits][length] of -1 and 1 */
  signs: number[][];
  alphas: number[];
  offset: number;
}

export function planeGroups({ bits, rows, cols, groupSize, planes, alphas, offsets }: Planes): PlaneGroup[] {
  const groups = Math.ceil(cols / groupSize);
  const width = Math.ceil(cols / 8);
  return Array.from({ length: rows * groups }, (_, index) => {
    const row = Math.floor(index / groups);
    const first = (index % groups) * groupSize;
    const length = Math.min(groupSize, cols - first);
    const signs = Array.from({ length: bits }, (_, b) =>
      Array.from({ length }, (_, i) => {
        const byte = planes[(b * rows + row) * width + Math.floor((first + i) / 8)] as number;
        return Math.floor(byte / 2 ** ((first + i) % 8)) % 2 === 1 ? 1 : -1;
      }),
    );
    return {
      start: row * cols + first,
      signs,
      alphas: Array.from({ length: bits }, (_, b) => alphas[b * rows * groups + index] as number),
      offset: offsets === undefined ? 0 : (offsets[index] as number),
    };
  });
}

/** offset + Σ alpha · sign in float64. */
export function levelAt({ signs, alphas, offset }: PlaneGroup, i: number): number {
  return alphas.reduce((level, alpha, b) => level + alpha * ((signs[b] as number[])[i] as number), offset);
}

/** The distance of a value to the nearest of all 2^bits levels. */
export function nearestDistance(value: number, { alphas, offset }: PlaneGroup): number {
  let least = Infinity;
  for (let code = 0; code < 2 ** alphas.length; code++) {
    const level = alphas.reduce(
      (sum, alpha, b) => sum + (Math.floor(code / 2 ** b) % 2 === 1 ? alpha : -alpha),
      offset,
    );
    least = Math.min(least, Math.abs(value - level));
  }
  return least;
}

/** The error of the greedy start: Guo et al. 2017, "Network Sketching", algorithm 1 without refinement. */
export function greedyError(w: ArrayLike<number>, bits: number): number {
  let rest = Array.from(w);
  for (let b = 0; b < bits; b++) {
    const alpha = rest.reduce((sum, value) => sum + Math.abs(value), 0) / rest.length;
    rest = rest.map((value) => value - (value >= 0 ? alpha : -alpha));
  }
  return rest.reduce((sum, value) => sum + value * value, 0);
}
