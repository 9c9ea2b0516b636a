/**
 * A generator of numbers in [0, 1), the same for the same seed (mulberry32).
 * @param seed An unsigned 32-bit integer.
 */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * Draws a token from softmax(logits / temperature).
 * @param temperature At least 0; 0 is greedy: the most likely token, the first of equals.
 */
export function sampleToken(logits: Float32Array, temperature: number, random: () => number): number {
  let best = 0;
  let max = -Infinity;
  for (const [i, logit] of logits.entries()) {
    if (logit > max) {
      max = logit;
      best = i;
    }
  }
  if (temperature === 0) return best;

  // With the maximum subtracted, no exponent is positive, so even a tiny temperature cannot overflow.
  let sum = 0;
  for (const logit of logits) sum += Math.exp((logit - max) / temperature);
  let rest = random() * sum;
  for (const [i, logit] of logits.entries()) {
    rest -= Math.exp((logit - max) / temperature);
    if (rest < 0) return i;
  }
  // Only rounding of the sum leads here.
  return best;
}
