// lowbit run: a text goes on, or a conversation.
import { readFile } from "node:fs/promises";
import type { GenerateOptions, LanguageModel, Message, Prompt, Result } from "lowbit/llm";
import type { Options, Values } from "../arguments.ts";
import { chat } from "../chat.ts";
import { define } from "../command.ts";
import { UsageError } from "../errors.ts";
import { INTERRUPTED, interrupted } from "../interrupt.ts";
import { MODEL_OPTIONS, memoryOf, noteMemory, openModel, sourceOf } from "../model.ts";
import { dim, note, numberText, print, printJson } from "../terminal.ts";

/** Tokens of a text that goes on; chats end by themselves. */
const LENGTH = 200;

const OPTIONS = {
  prompt: { type: "text", short: "p", value: "TEXT", help: "the beginning of the text" },
  file: { type: "text", short: "f", value: "FILE", help: "the beginning of the text, of a file" },
  chat: { type: "flag", help: "a conversation by the model's template; with -p or -f one answer" },
  system: { type: "text", value: "TEXT", help: "what a conversation begins by (as --chat)" },
  template: { type: "text", value: "FILE", help: "a chat template (Jinja) in place of the model's" },
  length: {
    type: "whole",
    short: "n",
    least: 0,
    most: 2 ** 31,
    help: `tokens at most (default: ${LENGTH}; chat: all)`,
  },
  temperature: { type: "number", least: 0, most: 1000, help: "0 (default): the likeliest token each time" },
  "top-k": { type: "whole", least: 0, most: 2 ** 31, help: "of the N likeliest tokens (default 0: of all)" },
  "top-p": { type: "number", least: 0, most: 1, help: "of the likeliest that have this probability (default 1)" },
  "min-p": { type: "number", least: 0, most: 1, help: "of those with this part of the likeliest's (default 0)" },
  "repetition-penalty": { type: "number", least: 1e-3, most: 1e3, help: "above 1: less of what was said (default 1)" },
  seed: { type: "whole", least: 0, help: "the same text for the same seed, on every machine (default 0)" },
  stop: {
    type: "text",
    value: "TEXT",
    many: true,
    help: "ends the answer, and is not part of it; several may be given",
  },
  ...MODEL_OPTIONS,
  json: { type: "flag", help: "one object at the end in place of text" },
  quiet: { type: "flag", short: "q", help: "nothing on standard error but errors" },
} as const satisfies Options;

type Given = Values<typeof OPTIONS>;

export function generateOptions(given: Given, length: number | undefined): GenerateOptions {
  const { temperature, seed, stop } = given;
  const maxTokens = given.length ?? length;
  const topK = given["top-k"];
  const topP = given["top-p"];
  const minP = given["min-p"];
  const repetitionPenalty = given["repetition-penalty"];
  return {
    ...(maxTokens !== undefined && { maxTokens }),
    ...(temperature !== undefined && { temperature }),
    ...(topK !== undefined && { topK }),
    ...(topP !== undefined && { topP }),
    ...(minP !== undefined && { minP }),
    ...(repetitionPenalty !== undefined && { repetitionPenalty }),
    ...(seed !== undefined && { seed }),
    ...(stop !== undefined && { stop }),
  };
}

export const command = define({
  usage: "SRC [-p TEXT | -f FILE | --chat] [options]",
  about: `
Continues a text: of -p, of -f, or of standard input. With --chat (or --system) it is a message of a conversation, put into
words by the model's template; without a text each line of standard input is one. Text comes as it is made; what it took is
on standard error. Ctrl-C ends an answer, twice the program.`,
  options: OPTIONS,
  async run(given, rest) {
    const source = sourceOf("run", rest);
    if (given.prompt !== undefined && given.file !== undefined)
      throw new UsageError("run: expected -p or -f, got both");
    const talks = given.chat === true || given.system !== undefined;
    const text = await textOf(given, talks);
    if (text === undefined && given.json) throw new UsageError("run: --json: expected a prompt, got a conversation");
    const abort = interrupted();
    try {
      const { lb, model, milliseconds } = await openModel("run", source, given, abort.signal);
      if (text === undefined)
        return await chat(model, given.system, generateOptions(given, undefined), given.quiet ?? false);
      const prompt: Prompt = talks ? messagesOf(given.system, text) : text;
      const options = { ...generateOptions(given, talks ? undefined : LENGTH), signal: abort.signal };
      const shown = !talks && !given.json && process.stdout.isTTY ? text : "";
      const result = await answer(model, prompt, options, shown, given.json ?? false);
      const rates = { prompt: rate(result.usage.prompt, result.milliseconds.prompt), generate: generateRate(result) };
      if (given.json) {
        const load = { ...result.milliseconds, load: milliseconds };
        await printJson({ ...result, milliseconds: load, tokensPerSecond: rates, memory: memoryOf(lb) });
      } else if (!given.quiet) {
        note(dim(`${summaryOf(result)}; ${noteMemory(lb)}`));
      }
      return abort.signal.aborted ? INTERRUPTED : 0;
    } catch (error) {
      if (abort.signal.aborted) return INTERRUPTED;
      throw error;
    }
  },
});

/** What is to be continued; undefined: a conversation of lines. */
async function textOf({ prompt, file }: Given, talks: boolean): Promise<string | undefined> {
  if (prompt !== undefined) return prompt;
  if (file !== undefined && file !== "-") return readFile(file, "utf8");
  if (talks && file === undefined) return undefined;
  if (process.stdin.isTTY && file === undefined) {
    throw new UsageError("run: expected -p TEXT, -f FILE, --chat, or a text on standard input");
  }
  const parts: Buffer[] = [];
  for await (const part of process.stdin) parts.push(part as Buffer);
  return Buffer.concat(parts).toString("utf8");
}

function messagesOf(system: string | undefined, content: string): Message[] {
  const user: Message = { role: "user", content };
  return system === undefined ? [user] : [{ role: "system", content: system }, user];
}

/** Prints an answer as it comes, unless it is wanted as an object. */
async function answer(
  model: LanguageModel,
  prompt: Prompt,
  options: GenerateOptions,
  shown: string,
  json: boolean,
): Promise<Result> {
  const generation = model.generate(prompt, options);
  if (json) return generation;
  let last = "\n";
  let begun = false;
  for await (const { text } of generation) {
    if (!begun && shown !== "") await print(dim(shown, process.stdout));
    begun = true;
    if (text === "") continue;
    await print(text);
    last = text;
  }
  if (!last.endsWith("\n")) await print("\n");
  return generation;
}

const rate = (tokens: number, milliseconds: number): number => (milliseconds > 0 ? (tokens * 1000) / milliseconds : 0);

/** The first token is there when the prompt is read; time went into those after it. */
const generateRate = ({ usage, milliseconds }: Result): number =>
  rate(Math.max(0, usage.generated - 1), milliseconds.generate);

function summaryOf(result: Result): string {
  const { usage, milliseconds } = result;
  const read = `${usage.prompt} tokens read in ${milliseconds.prompt.toFixed(0)} ms`;
  return `${read}, ${usage.generated} written at ${numberText(generateRate(result))} tokens/s`;
}
