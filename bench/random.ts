/** Numbers from a fixed seed: every run measures and checks the same data. */
export interface Random {
  /** 32 random bits. */
  bits(): number;
  /** Below `n`, an integer. */
  below(n: number): number;
  /** From the standard normal distribution. */
  gaussian(): number;
}

/** xorshift32 (Marsaglia 2003, "Xorshift RNGs"): fast enough to fill 64 MB and good enough for weights. */
export function makeRandom(seed: number): Random {
  let state = seed | 0 || 1;
  const bits = (): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
  const unit = (): number => (bits() + 0.5) / 2 ** 32;
  return {
    bits,
    below: (n) => Math.floor(unit() * n),
    gaussian: () => Math.sqrt(-2 * Math.log(unit())) * Math.cos(2 * Math.PI * unit()),
  };
}
