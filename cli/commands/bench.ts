// lowbit bench: tokens a second, of a prompt that is read and of an answer that is written.
import type { LanguageModel, Result } from "lowbit/llm";
import type { Options } from "../arguments.ts";
import { define } from "../command.ts";
import { UsageError } from "../errors.ts";
import { INTERRUPTED, interrupted } from "../interrupt.ts";
import { median } from "../measure.ts";
import { MODEL_OPTIONS, memoryOf, noteMemory, openModel, sourceOf } from "../model.ts";
import { numberText, printJson, printLine, table } from "../terminal.ts";

const OPTIONS = {
  prompt: { type: "whole", short: "p", least: 2, value: "N", help: "tokens of the prompt (default 128)" },
  length: { type: "whole", short: "n", least: 2, value: "N", help: "tokens that are written, after 16 (default 32)" },
  repeats: {
    type: "whole",
    short: "r",
    least: 1,
    most: 1000,
    value: "N",
    help: "of which the median counts (default 5)",
  },
  ...MODEL_OPTIONS,
  json: { type: "flag", help: "as an object" },
} as const satisfies Options;

/** Tokens in front of those that are written. */
const BEFORE = 16;

export const command = define({
  usage: "SRC [-p N] [-n N] [-r N]",
  about: `
How many tokens a second a model reads and writes here, the median of several times, after one that does not count. Tokens of the
prompt are drawn; sampling is greedy.`,
  options: OPTIONS,
  async run(given, rest) {
    const { prompt = 128, length = 32, repeats = 5 } = given;
    const source = sourceOf("bench", rest);
    const abort = interrupted();
    try {
      const { lb, model, milliseconds } = await openModel("bench", source, given, abort.signal);
      const needed = Math.max(prompt + 1, BEFORE + length + 1);
      if (needed > model.info.context) {
        throw new UsageError(`bench: expected at most ${model.info.context} tokens, the context, got ${needed}`);
      }
      const vocabulary = (await model.logits([0])).length;
      const reading: number[] = [];
      const writing: number[] = [];
      // The first time is for compilers and caches.
      for (let i = 0; i <= repeats && !abort.signal.aborted; i++) {
        const read = await once(model, vocabulary, prompt, 1, i, abort.signal);
        const wrote = await once(model, vocabulary, BEFORE, length, i, abort.signal);
        if (i === 0) continue;
        reading.push((prompt * 1000) / read.milliseconds.prompt);
        // The first of them is there when the prompt is.
        writing.push(((wrote.usage.generated - 1) * 1000) / wrote.milliseconds.generate);
      }
      if (abort.signal.aborted) return INTERRUPTED;
      const { variant, threads, dot } = lb.features;
      const result = {
        prompt: { tokens: prompt, perSecond: median(reading), all: reading },
        decode: { tokens: length, after: BEFORE, perSecond: median(writing), all: writing },
        load: milliseconds,
        memory: memoryOf(lb),
        features: { variant, threads, dot },
      };
      if (given.json) await printJson(result);
      else {
        const range = (all: readonly number[]): string =>
          `${numberText(Math.min(...all))} to ${numberText(Math.max(...all))}`;
        await printLine(
          table([
            [`prompt of ${prompt}`, `${numberText(result.prompt.perSecond)} tokens/s`, range(reading)],
            [`decode after ${BEFORE}`, `${numberText(result.decode.perSecond)} tokens/s`, range(writing)],
            ["load", `${milliseconds.toFixed(0)} ms`, ""],
            ["machine", `${variant}, ${threads} threads, ${dot}`, ""],
            ["memory", noteMemory(lb), ""],
          ]),
        );
      }
      return 0;
    } catch (error) {
      if (abort.signal.aborted) return INTERRUPTED;
      throw error;
    }
  },
});

/** A prompt of tokens that nothing was seen of, and an answer of this length. */
async function once(
  model: LanguageModel,
  vocabulary: number,
  prompt: number,
  length: number,
  seed: number,
  signal: AbortSignal,
): Promise<Result> {
  const session = model.session();
  try {
    // A new one each time, so that an end token in one answer does not shorten all; the longest of a few counts.
    let longest: Result | undefined;
    for (let attempt = 0; attempt < 8; attempt++) {
      const tokens = drawn(vocabulary, prompt, 8 * seed + attempt);
      const result = await session.generate(tokens, { maxTokens: length, signal });
      if (!longest || result.usage.generated > longest.usage.generated) longest = result;
      if (longest.usage.generated >= length || signal.aborted) break;
    }
    return longest as Result;
  } finally {
    session.dispose();
  }
}

/** Tokens that the vocabulary has, of a linear congruence (Knuth, The Art of Computer Programming 2, 3.3.4). */
function drawn(vocabulary: number, count: number, seed: number): number[] {
  let state = (seed + 1) * 2654435761;
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state % vocabulary;
  });
}
