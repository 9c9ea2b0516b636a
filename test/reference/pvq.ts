// Vectors of a pyramid (Fischer 1986) by their definition, in whole numbers of any size.

const counted = new Map<string, bigint>();

/** N(l, k): how many integer vectors of l coordinates have absolute values that add up to k. */
export function pyramidCount(l: number, k: number): bigint {
  if (k === 0) return 1n;
  if (l === 0) return 0n;
  const key = `${l} ${k}`;
  const known = counted.get(key);
  if (known !== undefined) return known;
  const n = pyramidCount(l - 1, k) + pyramidCount(l, k - 1) + pyramidCount(l - 1, k - 1);
  counted.set(key, n);
  return n;
}

/** 0, 1, -1, 2, -2, … up to ±k. */
function inOrder(k: number): number[] {
  return Array.from({ length: 2 * k + 1 }, (_, i) => (i % 2 === 1 ? (i + 1) / 2 : -i / 2 + 0));
}

/** All of them in Fischer's order: each coordinate in the order 0, 1, -1, 2, -2, …, the first the slowest. */
export function pyramidVectors(l: number, k: number): number[][] {
  if (l === 0) return k === 0 ? [[]] : [];
  return inOrder(k).flatMap((first) => pyramidVectors(l - 1, k - Math.abs(first)).map((rest) => [first, ...rest]));
}

/** How many come before y. */
export function pyramidNumber(y: readonly number[]): bigint {
  let k = y.reduce((sum, v) => sum + Math.abs(v), 0);
  let before = 0n;
  for (const [i, v] of y.entries()) {
    const l = y.length - i - 1;
    for (const other of inOrder(k)) {
      if (other === v) break;
      before += pyramidCount(l, k - Math.abs(other));
    }
    k -= Math.abs(v);
  }
  return before;
}

/** The vector that so many come before. */
export function pyramidAt(number: bigint, l: number, k: number): number[] {
  const y: number[] = [];
  let left = number;
  for (let i = 1; i <= l; i++) {
    for (const v of inOrder(k)) {
      const n = pyramidCount(l - i, k - Math.abs(v));
      if (left < n) {
        y.push(v);
        k -= Math.abs(v);
        break;
      }
      left -= n;
    }
  }
  return y;
}

/** Pulse by pulse to where it lessens the squared error most. */
export function pyramidNear(v: readonly number[], k: number): number[] {
  const sizes = v.map(() => 0);
  for (let pulse = 0; pulse < k; pulse++) {
    let best = 0;
    for (let i = 1; i < v.length; i++) {
      const gain = (j: number): number => Math.abs(v[j] as number) - (sizes[j] as number);
      if (gain(i) > gain(best)) best = i;
    }
    sizes[best] = (sizes[best] as number) + 1;
  }
  return sizes.map((size, i) => ((v[i] as number) < 0 ? 0 - size : size));
}
