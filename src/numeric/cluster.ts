// Optimal weighted k-means in one dimension, of sorted distinct values.

/** Buffers for up to `length` values and `count` clusters. */
export interface ClusterWork {
  /** Ascending, no two equal, and their weights, all positive. */
  readonly values: Float64Array;
  readonly weights: Float64Array;
  /** [length + 1]: sums of the weights and of weight · (value - median) before index i, counted from the median. */
  readonly weightSums: Float64Array;
  readonly valueSums: Float64Array;
  /** [length + 1]: what the first i values gain with one cluster less, and with this many. */
  gains: Float64Array;
  nextGains: Float64Array;
  /** [count + 2][length + 1]: where the last of j clusters of the first i values begins. */
  readonly starts: Int32Array;
  /** [count + 1]: where each cluster of the answer begins, and the end. */
  readonly begins: Int32Array;
  /** Of `fillPriced`: where the last cluster of the first i values begins; beginnings and from where each is the best. */
  readonly from: Int32Array;
  readonly queue: Int32Array;
  readonly since: Int32Array;
  /** [COARSE + 1] */
  readonly coarseValueSums: Float64Array;
  readonly coarseWeightSums: Float64Array;
  readonly length: number;
}

export function makeClusterWork(length: number, count: number): ClusterWork {
  const floats = (size: number) => new Float64Array(size);
  const ints = (size: number) => new Int32Array(size);
  return {
    values: floats(length),
    weights: floats(length),
    weightSums: floats(length + 1),
    valueSums: floats(length + 1),
    gains: floats(length + 1),
    nextGains: floats(length + 1),
    starts: ints((count + 2) * (length + 1)),
    begins: ints(count + 1),
    from: ints(length + 1),
    queue: ints(length + 1),
    since: ints(length + 1),
    coarseValueSums: floats(COARSE + 1),
    coarseWeightSums: floats(COARSE + 1),
    length,
  };
}

/** Up to here layer after layer is as fast. */
const MAX_LAYERED = 512;

/** Places where clusters may begin in the first guess of the price. */
const COARSE = 256;

/**
 * The centres of the best clustering of the first `length` values of `work`, ascending. With fewer values than clusters
 * every value is a centre, and the largest fills the rest.
 *
 * Clusters are intervals, and Σ weight · (value - mean)^2 is least where Σ_clusters (Σ weight · value)^2 / Σ weight is
 * largest. Sums are counted from the median and of distances to it: those within an interval then do not suffer from
 * values farther out. The result is optimal up to float64 rounding of these gains, and always the same.
 */
export function clusterCentres(work: ClusterWork, length: number, count: number, centres: Float64Array): void {
  const { values, weights, weightSums, valueSums, begins } = work;
  if (length <= count) {
    for (let k = 0; k < count; k++) centres[k] = values[Math.min(k, length - 1)] as number;
    return;
  }
  addUp(work, length);
  if (length <= MAX_LAYERED || !clusterByPrice(work, length, count)) {
    fillLayers(work, valueSums, weightSums, length, count);
    traceLayers(work, length, count);
  }
  for (let k = 0; k < count; k++) {
    const end = begins[k + 1] as number;
    let sum = 0;
    let weight = 0;
    for (let i = begins[k] as number; i < end; i++) {
      sum += (weights[i] as number) * (values[i] as number);
      weight += weights[i] as number;
    }
    centres[k] = sum / weight;
  }
}

/**
 * Clusters for a price each instead of a number of clusters (Aggarwal, Schieber and Tokuyama 1994, "Finding a minimum
 * weight K-link path in graphs with Monge property"; for k-means Grønlund et al. 2017, arXiv:1701.07204): what one more
 * cluster gains falls with their number, so whenever the best clustering at some price has `count` clusters, it is the
 * best of that many. A price between the gains of the last cluster and of the next, taken from a coarse clustering, is
 * right nearly always; otherwise bisection follows. False if no price is found, as with ties.
 */
function clusterByPrice(work: ClusterWork, length: number, count: number): boolean {
  const { valueSums, weightSums, coarseValueSums, coarseWeightSums, begins, from } = work;
  for (let i = 0; i <= COARSE; i++) {
    const place = Math.round((i * length) / COARSE);
    coarseValueSums[i] = valueSums[place] as number;
    coarseWeightSums[i] = weightSums[place] as number;
  }
  const [less, , more] = fillLayers(work, coarseValueSums, coarseWeightSums, COARSE, count + 1);
  let price = (more - less) / 2;
  let tooLow = 0;
  let tooHigh = Infinity;
  for (let round = 0; round < 30 && price > 0; round++) {
    let clusters = 0;
    fillPriced(work, length, price);
    for (let i = length; i > 0; i = from[i] as number) clusters++;
    if (clusters === count) {
      for (let i = length, k = count; k >= 0; i = from[i] as number) begins[k--] = i;
      return true;
    }
    if (clusters > count) tooLow = price;
    else tooHigh = price;
    price = tooHigh === Infinity ? 2 * price : (tooLow + tooHigh) / 2;
  }
  return false;
}

/**
 * The best last cluster of the first i values at a price a cluster, for all i (Galil and Park 1990, "A linear-time
 * algorithm for concave one-dimensional dynamic programming"): of two beginnings the later, once better, stays better as
 * i grows, so the beginnings still worth anything stand in a queue, each with the first i from which it is the best.
 */
function fillPriced(work: ClusterWork, length: number, price: number): void {
  const { valueSums, weightSums, gains, from, queue, since } = work;
  const total = (start: number, end: number) => gain(gains[start] as number, valueSums, weightSums, start, end);
  gains[0] = 0;
  queue[0] = 0;
  since[0] = 1;
  let head = 0;
  let tail = 1;
  for (let i = 1; i <= length; i++) {
    while (head + 1 < tail && (since[head + 1] as number) <= i) head++;
    const start = queue[head] as number;
    from[i] = start;
    gains[i] = total(start, i) - price;
    // i as a beginning is best from `high` on; it is not at `low`.
    let high = length + 1;
    let low = i;
    for (; tail > head; tail--) {
      const other = queue[tail - 1] as number;
      const place = Math.max(since[tail - 1] as number, i + 1);
      if (place > length || total(i, place) <= total(other, place)) {
        low = place;
        break;
      }
      high = place;
    }
    if (tail > head) {
      const other = queue[tail - 1] as number;
      if (high > length && (low >= length || total(i, length) <= total(other, length))) continue;
      high = Math.min(high, length);
      while (high - low > 1) {
        const middle = (low + high) >> 1;
        if (total(i, middle) > total(other, middle)) high = middle;
        else low = middle;
      }
    }
    queue[tail] = i;
    since[tail++] = high;
  }
}

function addUp({ values, weights, weightSums, valueSums }: ClusterWork, length: number): void {
  const origin = length >> 1;
  const median = values[origin] as number;
  weightSums[origin] = 0;
  valueSums[origin] = 0;
  for (let i = origin; i < length; i++) {
    weightSums[i + 1] = (weightSums[i] as number) + (weights[i] as number);
    valueSums[i + 1] = (valueSums[i] as number) + (weights[i] as number) * ((values[i] as number) - median);
  }
  for (let i = origin - 1; i >= 0; i--) {
    weightSums[i] = (weightSums[i + 1] as number) - (weights[i] as number);
    valueSums[i] = (valueSums[i + 1] as number) - (weights[i] as number) * ((values[i] as number) - median);
  }
}

/** What values start..end - 1 gain as a cluster, on top of `before`; nothing where their weight is lost in rounding. */
function gain(before: number, valueSums: Float64Array, weightSums: Float64Array, start: number, end: number): number {
  const sum = (valueSums[end] as number) - (valueSums[start] as number);
  const weight = (weightSums[end] as number) - (weightSums[start] as number);
  return weight > 0 ? before + (sum * sum) / weight : before;
}

/**
 * Dynamic programming (Wang and Song 2011, "Ckmeans.1d.dp") over places 0..length with these sums. Where the last cluster
 * before place i begins never falls as i or the number of clusters grows, so places halfway between two known ones are
 * searched between their answers: O(count · length · log length).
 *
 * @returns what all values gain in count - 2, count - 1 and count clusters (0 for no cluster)
 */
function fillLayers(
  work: ClusterWork,
  valueSums: Float64Array,
  weightSums: Float64Array,
  length: number,
  count: number,
): [number, number, number] {
  const stride = work.length + 1;
  const { starts } = work;
  for (let i = 1; i <= length; i++) {
    work.gains[i] = gain(0, valueSums, weightSums, 0, i);
    starts[stride + i] = 0;
  }
  let less = 0;
  let same = work.gains[length] as number;
  for (let j = 2; j < count; j++) {
    fillLayer(valueSums, weightSums, work.gains, work.nextGains, starts, (j - 1) * stride, j * stride, j, length);
    const { gains } = work;
    work.gains = work.nextGains;
    work.nextGains = gains;
    less = same;
    same = work.gains[length] as number;
  }
  // Of the last layer only all values count.
  const start = findStart(valueSums, weightSums, work.gains, length, count - 1, length - 1);
  starts[count * stride + length] = start;
  return [less, same, gain(work.gains[start] as number, valueSums, weightSums, start, length)];
}

function traceLayers({ starts, begins, length: capacity }: ClusterWork, length: number, count: number): void {
  begins[count] = length;
  for (let k = count; k > 0; k--) {
    begins[k - 1] = starts[k * (capacity + 1) + (begins[k] as number)] as number;
  }
}

/** Where the last cluster of the first `end` values begins best, of low..high; the first of equals. */
function findStart(
  valueSums: Float64Array,
  weightSums: Float64Array,
  gains: Float64Array,
  end: number,
  low: number,
  high: number,
): number {
  const valueEnd = valueSums[end] as number;
  const weightEnd = weightSums[end] as number;
  let best = -1;
  let at = low;
  for (let start = low; start <= high; start++) {
    const sum = valueEnd - (valueSums[start] as number);
    const weight = weightEnd - (weightSums[start] as number);
    const total = (gains[start] as number) + (weight > 0 ? (sum * sum) / weight : 0);
    if (total > best) {
      best = total;
      at = start;
    }
  }
  return at;
}

/** The first i = j..length values in j clusters, from those in j - 1. */
function fillLayer(
  valueSums: Float64Array,
  weightSums: Float64Array,
  gains: Float64Array,
  nextGains: Float64Array,
  starts: Int32Array,
  before: number,
  at: number,
  j: number,
  length: number,
): void {
  let step = 1;
  while (step * 2 <= length - j + 1) step *= 2;
  for (; step >= 1; step >>= 1) {
    for (let i = j - 1 + step; i <= length; i += 2 * step) {
      const left = i - step >= j ? (starts[at + i - step] as number) : j - 1;
      const right = i + step <= length ? (starts[at + i + step] as number) : i - 1;
      const start = findStart(
        valueSums,
        weightSums,
        gains,
        i,
        Math.max(left, starts[before + i] as number, j - 1),
        Math.min(right, i - 1),
      );
      starts[at + i] = start;
      nextGains[i] = gain(gains[start] as number, valueSums, weightSums, start, i);
    }
  }
}
