// What iFairy computes between its linear layers (Wang et al., arXiv:2508.05571; code: PKU-LLM-DS-LAB/Fairy-plus-minus-i),
// on complex numbers one by one, in float64.

export interface Complex {
  readonly re: number;
  readonly im: number;
}

export const add = (a: Complex, b: Complex): Complex => ({ re: a.re + b.re, im: a.im + b.im });
export const multiply = (a: Complex, b: Complex): Complex => ({
  re: a.re * b.re - a.im * b.im,
  im: a.re * b.im + a.im * b.re,
});
export const conjugate = (a: Complex): Complex => ({ re: a.re, im: -a.im });
export const scaled = (a: Complex, s: number): Complex => ({ re: a.re * s, im: a.im * s });

/** One token: x / sqrt(mean |x|^2 + eps), each part times its own gain. */
export function rmsNormOf(x: readonly Complex[], gain: readonly Complex[], eps: number): Complex[] {
  const mean = x.reduce((sum, v) => sum + multiply(v, conjugate(v)).re, 0) / x.length;
  return x.map((v, j) => {
    const normed = scaled(v, 1 / Math.sqrt(mean + eps));
    const g = gain[j] as Complex;
    return { re: normed.re * g.re, im: normed.im * g.im };
  });
}

/** One head of one token, turned by position · base^(-j / headDim). */
export function rotated(x: readonly Complex[], position: number, base: number): Complex[] {
  return x.map((v, j) => {
    const angle = position / base ** (j / x.length);
    return multiply(v, { re: Math.cos(angle), im: Math.sin(angle) });
  });
}

/** The score of one head of a query and a key. */
export function scoreOf(q: readonly Complex[], k: readonly Complex[]): number {
  const product = q.map((a, j) => multiply(a, conjugate(k[j] as Complex))).reduce(add);
  return product.re / q.length ** 0.5;
}

/** One head of one query over the keys it sees. */
export function attended(q: readonly Complex[], keys: readonly Complex[][], values: readonly Complex[][]): Complex[] {
  const scores = keys.map((k) => scoreOf(q, k));
  const most = Math.max(...scores);
  const weights = scores.map((s) => Math.exp(s - most));
  const total = weights.reduce((a, b) => a + b);
  return q.map((_, j) => values.map((v, t) => scaled(v[j] as Complex, (weights[t] as number) / total)).reduce(add));
}

/** conj(relu2(act)) · up */
export function gated(act: Complex, up: Complex): Complex {
  const active = act.re < 0 && act.im < 0 ? { re: 0, im: 0 } : { re: act.re ** 2, im: act.im ** 2 };
  return multiply(conjugate(active), up);
}
