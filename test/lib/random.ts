// Random test data, repeatable from one seed: LOWBIT_SEED in the environment, or the clock. The runner prints it.
// Each test takes its own stream by label, so that a file run alone sees the same numbers as in the whole suite.

function chooseSeed(): number {
  const text = process.env.LOWBIT_SEED;
  if (text === undefined || text === "") return Date.now() >>> 0;
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0 || value > 0xffffffff) {
    throw new RangeError(`LOWBIT_SEED: expected an integer from 0 to 4294967295, got ${text}`);
  }
  return value;
}

export const seed: number = chooseSeed();

export interface Random {
  /** 32 random bits. */
  bits(): number;
  /** An integer from `low` to `high`, both included. */
  int(low: number, high: number): number;
  /** A float64 in [0, 1). */
  uniform(): number;
  /** Normal with mean 0 and deviation 1. Uses Math.log and Math.cos, which differ between engines in the last bit. */
  gaussian(): number;
  gaussians(length: number): Float32Array;
  /** Floats in [-scale, scale), by exact arithmetic only: the same bits in every engine. */
  uniforms(length: number, scale?: number): Float32Array;
  /** Binary weights: -1 and 1. */
  signs(length: number): Int8Array;
  /** Ternary weights: -1, 0 and 1. */
  trits(length: number): Int8Array;
}

/** Appleby's MurmurHash3 finaliser: every input bit reaches every output bit. */
function mix(value: number): number {
  let h = value | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/**
 * xoshiro128** (Blackman and Vigna, "Scrambled linear pseudorandom number generators", ACM TOMS 47, 2021), its state
 * filled the splitmix way (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).
 */
export function random(label: string, base: number = seed): Random {
  let start = base;
  for (let i = 0; i < label.length; i++) start = mix((start ^ label.charCodeAt(i)) + 0x9e3779b9);
  const state = Uint32Array.from([1, 2, 3, 4], (i) => mix(start + Math.imul(i, 0x9e3779b9)));
  let [a, b, c, d] = state as unknown as [number, number, number, number];
  if ((a | b | c | d) === 0) a = 1; // the one state that xoshiro never leaves

  const rotate = (x: number, by: number): number => (x << by) | (x >>> (32 - by));
  const bits = (): number => {
    const result = Math.imul(rotate(Math.imul(b, 5), 7), 9) >>> 0;
    const t = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= t;
    d = rotate(d, 11);
    return result;
  };
  const uniform = (): number => bits() / 0x100000000;
  const int = (low: number, high: number): number => low + Math.floor(uniform() * (high - low + 1));
  // Box and Muller 1958; 1 - uniform() is never 0.
  const gaussian = (): number => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());

  return {
    bits,
    int,
    uniform,
    gaussian,
    gaussians: (length) => Float32Array.from({ length }, gaussian),
    uniforms: (length, scale = 1) => Float32Array.from({ length }, () => (uniform() * 2 - 1) * scale),
    signs: (length) => Int8Array.from({ length }, () => (bits() & 0x8000 ? 1 : -1)),
    trits: (length) => Int8Array.from({ length }, () => int(-1, 1)),
  };
}

/** Activation vectors that a kernel may stumble over, each with a name for the failure text. */
export function hostileActivations(length: number, rng: Random): { name: string; x: Float32Array }[] {
  const fill = (value: (i: number) => number): Float32Array => Float32Array.from({ length }, (_, i) => value(i));
  const place = rng.int(0, length - 1);
  const sign = (): number => (rng.bits() & 1 ? 1 : -1);
  const outlier = rng.gaussians(length);
  outlier[place] = 3e4;
  const almostHuge = fill(() => sign() * 3.4028234663852886e38);
  const tinyWithDenormal = rng.uniforms(length, 1e-37);
  tinyWithDenormal[place] = 1e-45;
  return [
    { name: "all zero", x: new Float32Array(length) },
    { name: "all -0", x: fill(() => -0) },
    { name: "all equal", x: fill(() => 0.3) },
    { name: "all equal, negative", x: fill(() => -7) },
    { name: "alternating extremes", x: fill((i) => (i % 2 === 0 ? 5 : -5)) },
    { name: "alternating by byte", x: fill((i) => ((i >> 3) % 2 === 0 ? 2.5 : -2.5)) },
    { name: "halves", x: fill((i) => (i === place ? 127 : ((i % 251) - 125) / 2)) },
    { name: "one outlier", x: outlier },
    { name: "a single nonzero", x: fill((i) => (i === place ? -1.5 : 0)) },
    { name: "a single nonzero, last", x: fill((i) => (i === length - 1 ? 0.75 : 0)) },
    { name: "1e38", x: fill(() => sign() * 1e38) },
    { name: "the largest float32", x: almostHuge },
    { name: "1e-30", x: rng.uniforms(length, 1e-30) },
    { name: "around the smallest normal", x: tinyWithDenormal },
    { name: "denormals", x: fill(() => rng.int(-1000, 1000) * 1.401298464324817e-45) },
    { name: "the smallest denormal", x: fill((i) => (i % 3 === 0 ? 1.401298464324817e-45 : 0)) },
    { name: "wide range", x: fill(() => sign() * 2 ** rng.int(-60, 60)) },
    { name: "blocks of unlike size", x: fill((i) => rng.gaussian() * 10 ** -((i >> 9) % 40)) },
  ];
}

/** Weights that a kernel may stumble over; `levels` are the least, the largest, and others that a weight can be. */
export function hostileWeights(
  rows: number,
  cols: number,
  levels: readonly number[],
  rng: Random,
): { name: string; codes: number[] }[] {
  const fill = (value: (i: number) => number): number[] => Array.from({ length: rows * cols }, (_, i) => value(i));
  const [least, most] = levels as [number, number];
  return [
    ...levels.map((level) => ({ name: `all ${level}`, codes: fill(() => level) })),
    { name: "alternating", codes: fill((i) => (i % 2 === 0 ? most : least)) },
    { name: "random", codes: fill(() => levels[rng.int(0, levels.length - 1)] as number) },
  ];
}

/**
 * Activations whose sums of a nibble end in one half, so that tables round them outwards, both ways: the pair bound of lut8
 * at its limit. `alone` has one column of a nibble, `spread` all four.
 */
export function outwardActivations(length: number): { name: string; alone: Float32Array; spread: Float32Array }[] {
  const pairs = [
    [62.5, 63.5],
    [63.5, 62.5],
    [0.5, 125.5],
    [125.5, 0.5],
    [126, 0],
    [0, 126],
    [31.5, 94.5],
  ] as const;
  return pairs.map(([low, high]) => ({
    name: `${low} and ${high}`,
    alone: Float32Array.from({ length }, (_, k) => (k % 8 === 0 ? low : k % 8 === 4 ? high : 0)),
    spread: Float32Array.from({ length }, (_, k) => (k % 8 < 4 ? low : -high) / 4),
  }));
}
