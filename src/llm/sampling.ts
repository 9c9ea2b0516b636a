// From logits to a token. In this order: the penalty of repetition, temperature, top-k, top-p, min-p, a draw. Probabilities are of our
// own exp in float64, added up in ascending order of tokens, or, where top-k or top-p takes some, from the likeliest down, equal
// ones by ascending token: the same everywhere.
import { exp } from "../numeric/elementary.ts";
import type { Random } from "./random.ts";

export interface Sampling {
  /** 0: the likeliest token, the first of equal ones. */
  readonly temperature: number;
  /** The so many likeliest; 0: all. */
  readonly topK: number;
  /** The likeliest that together have this probability, the one that crosses it included; at least one. 1: all. */
  readonly topP: number;
  /** Those with at least this part of the probability of the likeliest; 0: all. */
  readonly minP: number;
  /** Logits of tokens that were seen are divided by it where positive, multiplied where negative (Keskar et al. 2019). 1: none. */
  readonly repetitionPenalty: number;
}

/** Tokens whose probability is below e^-40 of the likeliest are not drawn: together they are less than 2^17 · 2^-57. */
const LEAST = -40;

/**
 * @param logits changed by the penalty
 * @param seen tokens of the prompt and those generated
 * @throws RangeError where no token is possible: all are -Infinity or NaN
 */
export function sample(logits: Float32Array, seen: Iterable<number>, options: Sampling, random: Random): number {
  const { temperature, topK, topP, minP, repetitionPenalty } = options;
  if (repetitionPenalty !== 1) {
    for (const token of new Set(seen)) {
      const logit = logits[token] as number;
      logits[token] = logit > 0 ? logit / repetitionPenalty : logit * repetitionPenalty;
    }
  }
  const best = likeliest(logits);
  const most = logits[best] as number;
  if (temperature === 0 || most === Number.POSITIVE_INFINITY || topK === 1 || topP === 0) return best;
  const bound = most + LEAST * temperature;
  let tokens: number[] = [];
  for (let token = 0; token < logits.length; token++) if ((logits[token] as number) >= bound) tokens.push(token);
  let weights = tokens.map((token) => exp(((logits[token] as number) - most) / temperature));
  if (topK > 0 || topP < 1) {
    const all = sumOf(weights);
    [tokens, weights] = likeliestOf(tokens, weights, (count, sum) => (topK > 0 ? count >= topK : sum >= topP * all));
    if (topK > 0) weights = weights.slice(0, topK);
    if (topP < 1) {
      const total = topK > 0 ? sumOf(weights) : all;
      let sum = 0;
      let count = 0;
      while (count < weights.length && sum < topP * total) sum += weights[count++] as number;
      weights = weights.slice(0, Math.max(1, count));
    }
    tokens = tokens.slice(0, weights.length);
  }
  // The likeliest has weight 1.
  const least = minP > 0 ? minP : 0;
  let left = random.next() * weights.reduce((sum, weight) => (weight >= least ? sum + weight : sum), 0);
  for (const [i, weight] of weights.entries()) {
    if (weight < least) continue;
    left -= weight;
    if (left < 0) return tokens[i] as number;
  }
  // Rounding may leave a little.
  return best;
}

const sumOf = (weights: readonly number[]): number => weights.reduce((sum, weight) => sum + weight, 0);

/** Each time so much of the weights is looked at, until it is enough: sorting all of a vocabulary takes 50 ms. */
const SHARE = 1 / 64;

// As many of the likeliest as are enough, or more, in descending order, equal ones by ascending token.
function likeliestOf(
  tokens: readonly number[],
  weights: readonly number[],
  enough: (count: number, sum: number) => boolean,
): [number[], number[]] {
  for (let cut = SHARE; ; cut *= SHARE) {
    const places: number[] = [];
    let sum = 0;
    for (let i = 0; i < weights.length; i++) {
      const weight = weights[i] as number;
      if (weight < cut) continue;
      places.push(i);
      sum += weight;
    }
    if (places.length < weights.length && !enough(places.length, sum)) continue;
    places.sort((a, b) => (weights[b] as number) - (weights[a] as number) || a - b);
    return [places.map((i) => tokens[i] as number), places.map((i) => weights[i] as number)];
  }
}

/** The first of the largest logits; NaN is none. */
export function likeliest(logits: Float32Array): number {
  let best = -1;
  let most = Number.NEGATIVE_INFINITY;
  for (let token = 0; token < logits.length; token++) {
    const logit = logits[token] as number;
    if (logit > most) {
      most = logit;
      best = token;
    }
  }
  if (best < 0) throw new RangeError("generate: logits: expected at least one above -Infinity, got none");
  return best;
}
