// What is said of logits: how far they are from others, and how well they foresee a text. Elementary functions are the library's
// own, so that the figures are the same on every machine.
import { exp, log } from "#lowbit/numeric/elementary";

/** Σ (a - b)² / Σ b², b being the reference. */
export function nmse(actual: Float32Array, reference: Float32Array): number {
  let error = 0;
  let power = 0;
  for (const [i, b] of reference.entries()) {
    const difference = (actual[i] as number) - b;
    error += difference * difference;
    power += b * b;
  }
  return error === 0 ? 0 : error / power;
}

/** The logarithm of Σ exp(logit). */
function logSum(logits: Float32Array): number {
  let most = Number.NEGATIVE_INFINITY;
  for (const logit of logits) most = Math.max(most, logit);
  let sum = 0;
  for (const logit of logits) sum += exp(logit - most);
  return most + log(sum);
}

/** Minus the logarithm of the probability of a token, in nats. */
export function surprise(logits: Float32Array, token: number): number {
  return logSum(logits) - (logits[token] as number);
}

/** Mean surprise of the tokens that follow: logits [n][vocabulary] after each of `tokens` [n]. */
export function meanLoss(logits: Float32Array, tokens: ArrayLike<number>): number {
  const vocabulary = logits.length / tokens.length;
  let sum = 0;
  for (let i = 0; i + 1 < tokens.length; i++) {
    sum += surprise(logits.subarray(i * vocabulary, (i + 1) * vocabulary), tokens[i + 1] as number);
  }
  return sum / (tokens.length - 1);
}

/** KL(reference || actual) in nats of one position, and whether both have the same likeliest token. */
export function compare(actual: Float32Array, reference: Float32Array): { kl: number; same: boolean } {
  const [a, b] = [logSum(actual), logSum(reference)];
  let kl = 0;
  for (const [i, logit] of reference.entries()) {
    const p = logit - b;
    kl += exp(p) * (p - ((actual[i] as number) - a));
  }
  return { kl, same: likeliest(actual) === likeliest(reference) };
}

function likeliest(logits: Float32Array): number {
  let best = 0;
  for (const [i, logit] of logits.entries()) if (logit > (logits[best] as number)) best = i;
  return best;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? (sorted[middle] as number)
    : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}
