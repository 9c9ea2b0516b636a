// What a transformer computes between its matrices, in float64, from the definitions.

/** Zhang and Sennrich 2019, eq. 4. */
export function rmsNorm(x: ArrayLike<number>, weight: ArrayLike<number> | undefined, eps: number): Float64Array {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += (x[i] as number) ** 2;
  const root = Math.sqrt(sum / x.length + eps);
  return Float64Array.from(x, (v, i) => (v / root) * (weight === undefined ? 1 : (weight[i] as number)));
}

/** Ba, Kiros and Hinton 2016, eq. 3. */
export function layerNorm(
  x: ArrayLike<number>,
  weight: ArrayLike<number>,
  bias: ArrayLike<number> | undefined,
  eps: number,
): Float64Array {
  const values = Float64Array.from(x);
  const mean = values.reduce((sum, v) => sum + v, 0) / x.length;
  const variance = values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / x.length;
  return values.map((v, i) => ((v - mean) / Math.sqrt(variance + eps)) * (weight[i] as number) + (bias?.[i] ?? 0));
}

/** Su et al. 2021, eq. 34: the first `turned` numbers of a head by these angles. */
export function rotate(head: ArrayLike<number>, angles: readonly number[], pairs: boolean): Float64Array {
  const y = Float64Array.from(head);
  const half = angles.length;
  for (const [i, angle] of angles.entries()) {
    const [a, b] = pairs ? [2 * i, 2 * i + 1] : [i, i + half];
    y[a] = (head[a] as number) * Math.cos(angle) - (head[b] as number) * Math.sin(angle);
    y[b] = (head[b] as number) * Math.cos(angle) + (head[a] as number) * Math.sin(angle);
  }
  return y;
}

/** erf by its Taylor series up to 3, then by the continued fraction of erfc (Abramowitz and Stegun 7.1.5 and 7.1.14). */
export function erf(x: number): number {
  const z = Math.abs(x);
  if (z > 6) return Math.sign(x);
  if (z < 3) {
    let term = x;
    let sum = x;
    for (let n = 1; n < 200; n++) {
      term *= -(x * x) / n;
      sum += term / (2 * n + 1);
    }
    return (2 / Math.sqrt(Math.PI)) * sum;
  }
  let fraction = 0;
  for (let n = 200; n > 0; n--) fraction = n / 2 / (z + fraction);
  return Math.sign(x) * (1 - Math.exp(-z * z) / Math.sqrt(Math.PI) / (z + fraction));
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

export const activationsOf: Readonly<Record<string, (gate: number, up: number) => number>> = {
  silu: (g, u) => g * sigmoid(g) * u,
  geluTanh: (g, u) => 0.5 * g * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (g + 0.044715 * g ** 3))) * u,
  gelu: (g, u) => 0.5 * g * (1 + erf(g / Math.SQRT2)) * u,
  relu2: (g, u) => Math.max(g, 0) ** 2 * u,
  relu: (g, u) => Math.max(g, 0) * u,
  clamped: (g, u) => {
    const gate = Math.min(g, 7);
    return (Math.min(Math.max(u, -7), 7) + 1) * gate * sigmoid(1.702 * gate);
  },
};

export interface AttentionShape {
  readonly heads: number;
  /** Query heads of a KV head. */
  readonly group: number;
  readonly size: number;
  readonly window: number;
  readonly scale: number;
  readonly cap: number;
  readonly sinks?: ArrayLike<number> | undefined;
}

/**
 * Vaswani et al. 2017, eq. 1, causal.
 * @param q of one token: [heads · group, size]
 * @param k [positions, heads, size], of which the last is the token itself
 */
export function attend(
  q: ArrayLike<number>,
  k: ArrayLike<number>,
  v: ArrayLike<number>,
  positions: number,
  { heads, group, size, window, scale, cap, sinks }: AttentionShape,
): Float64Array {
  const y = new Float64Array(heads * group * size);
  const first = window > 0 ? Math.max(0, positions - window) : 0;
  for (let h = 0; h < heads * group; h++) {
    const kv = Math.floor(h / group);
    const scores: number[] = [];
    for (let p = first; p < positions; p++) {
      let sum = 0;
      for (let i = 0; i < size; i++) {
        sum += (q[h * size + i] as number) * (k[(p * heads + kv) * size + i] as number);
      }
      scores.push(cap > 0 ? cap * Math.tanh((sum * scale) / cap) : sum * scale);
    }
    const all = sinks === undefined ? scores : [...scores, sinks[h] as number];
    const most = Math.max(...all);
    const total = all.reduce((sum, score) => sum + Math.exp(score - most), 0);
    for (const [i, score] of scores.entries()) {
      const weight = Math.exp(score - most) / total;
      for (let j = 0; j < size; j++) {
        const at = h * size + j;
        y[at] = (y[at] as number) + weight * (v[((first + i) * heads + kv) * size + j] as number);
      }
    }
  }
  return y;
}

/** The chosen experts of one token in descending order, and their weights. */
export function route(
  scores: readonly number[],
  used: number,
  mode: "all" | "normalised" | "chosen",
): { expert: number; weight: number }[] {
  const most = Math.max(...scores);
  const parts = scores.map((score, expert) => ({ expert, weight: Math.exp(score - most) }));
  const chosen = [...parts].sort((a, b) => b.weight - a.weight || a.expert - b.expert).slice(0, used);
  const sum = (mode === "all" ? parts : chosen).reduce((total, { weight }) => total + weight, 0);
  return chosen.map(({ expert, weight }) => ({ expert, weight: weight / sum }));
}
