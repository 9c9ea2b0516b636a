import { FileError, type Safetensors } from "lowbit/files";
import type { Model } from "./model.ts";
import { getFloats, getTensor } from "./safetensors.ts";

/** How many positions to decode one by one: enough to use the cache, few enough to be quick. */
const DECODE_POSITIONS = 32;

export interface Verification {
  readonly positions: number;
  /** sum((y - yhat)^2) / sum(y^2) of all logits, y being the reference's. */
  readonly nmse: number;
  /** Mean cross entropy of the next byte in nats: this model's, and the reference logits'. */
  readonly loss: number;
  readonly referenceLoss: number;
  /** The largest difference between logits of prefill (gemm) and of decode (gemv), over the largest logit. */
  readonly decodeDifference: number;
  readonly decodePositions: number;
}

/**
 * Runs the reference's tokens through the model and compares logits. Forgets what the model held before.
 * @param reference `tokens` U8 [n + 1] and `logits` F32 [n, vocab]: the output after each of the first n tokens.
 * @throws {FileError} If the reference is not of that form or does not fit the model.
 */
export function verify(model: Model, reference: Safetensors): Verification {
  const { vocabSize, maxPosition } = model.weights.config;
  const positions = (reference.tensors.get("tokens")?.shape[0] ?? 0) - 1;
  const tokens = getTensor(reference, "tokens", ["U8"], [Math.max(positions, 1) + 1]).data;
  const expected = getFloats(reference, "logits", ["F32"], [positions, vocabSize]);
  if (positions > maxPosition) {
    throw new FileError(`${reference.name}: tokens: expected at most ${maxPosition} + 1, got ${tokens.length}`);
  }

  model.reset();
  const logits = model.prefillAll(tokens.subarray(0, positions));
  let errors = 0;
  let squares = 0;
  for (const [i, y] of expected.entries()) {
    errors += (y - (logits[i] as number)) ** 2;
    squares += y ** 2;
  }

  model.reset();
  const decodePositions = Math.min(DECODE_POSITIONS, positions);
  let difference = 0;
  let largest = 0;
  for (let i = 0; i < decodePositions; i++) {
    for (const [j, logit] of model.decode(tokens[i] as number).entries()) {
      const prefilled = logits[i * vocabSize + j] as number;
      // Math.max keeps a NaN, so a broken kernel cannot pass.
      difference = Math.max(difference, Math.abs(logit - prefilled));
      largest = Math.max(largest, Math.abs(prefilled));
    }
  }
  model.reset();
  return {
    positions,
    nmse: errors / squares,
    loss: crossEntropy(logits, tokens, vocabSize),
    referenceLoss: crossEntropy(expected, tokens, vocabSize),
    decodeDifference: difference / largest,
    decodePositions,
  };
}

/** The mean of -log softmax(logits[i])[tokens[i + 1]]. */
function crossEntropy(logits: Float32Array, tokens: Uint8Array, vocabSize: number): number {
  let sum = 0;
  for (let i = 0; i + 1 < tokens.length; i++) {
    const row = logits.subarray(i * vocabSize, (i + 1) * vocabSize);
    const max = row.reduce((a, b) => Math.max(a, b), -Infinity);
    const total = row.reduce((a, b) => a + Math.exp(b - max), 0);
    sum += Math.log(total) + max - (row[tokens[i + 1] as number] as number);
  }
  return sum / (tokens.length - 1);
}
