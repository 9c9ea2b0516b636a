// lowbit eval: how well a model foresees a text, and how far its logits are from a reference's.
import { readFile } from "node:fs/promises";
import type { LanguageModel } from "lowbit/llm";
import { exp, log } from "#lowbit/numeric/elementary";
import type { Options, Values } from "../arguments.ts";
import { define } from "../command.ts";
import { Failure, UsageError } from "../errors.ts";
import { INTERRUPTED, interrupted } from "../interrupt.ts";
import { compare, meanLoss, nmse, surprise } from "../measure.ts";
import { MODEL_OPTIONS, openModel, sourceOf } from "../model.ts";
import { readReference } from "../reference.ts";
import { dim, note, printJson, printLine, table } from "../terminal.ts";

/** Tokens of a window, as llama.cpp's perplexity has them. */
const WINDOW = 512;

const OPTIONS = {
  verify: { type: "text", value: "FILE", help: "a safetensors file with tokens and logits, to be compared with" },
  limit: { type: "number", least: 0, help: "the largest NMSE that is good: 1e-6, with int8 activations 1e-3" },
  against: {
    type: "text",
    value: "SRC",
    help: "another model: KL divergence from it, and how often both say the same",
  },
  ...MODEL_OPTIONS,
  json: { type: "flag", help: "as an object" },
  quiet: { type: "flag", short: "q", help: "no progress" },
} as const satisfies Options;

type Given = Values<typeof OPTIONS>;

export const command = define({
  usage: "SRC TEXT... [--against SRC] | SRC --verify FILE [--limit N]",
  about: `
The perplexity of texts (files, or - for standard input), in windows of --context tokens (${WINDOW}) of which the second half
counts, as llama.cpp has it, and bits a byte. With --verify the logits of a reference's tokens are compared with its logits:
NMSE and loss, and exit code 1 above the limit.`,
  options: OPTIONS,
  async run(given, [source, ...texts]) {
    const from = sourceOf("eval", source === undefined ? [] : [source]);
    if (given.verify === undefined && texts.length === 0) throw new UsageError("eval: expected TEXT, or --verify FILE");
    if (given.verify !== undefined && texts.length > 0) {
      throw new UsageError(`eval: expected TEXT or --verify, got both (${texts[0]})`);
    }
    if (given.verify !== undefined && given.against !== undefined) {
      throw new UsageError("eval: expected --verify or --against, got both");
    }
    const abort = interrupted();
    try {
      return given.verify === undefined
        ? await measure(from, texts, given, abort.signal)
        : await verify(from, given.verify, given, abort.signal);
    } catch (error) {
      if (abort.signal.aborted) return INTERRUPTED;
      throw error;
    }
  },
});

async function verify(source: string, path: string, given: Given, signal: AbortSignal): Promise<number> {
  const { tokens, logits } = await readReference(path);
  const { model } = await openModel("eval", source, given, signal);
  const actual = await model.logits(tokens, { signal });
  if (actual.length !== logits.length) {
    const vocabulary = actual.length / tokens.length;
    throw new Failure(
      `eval: ${path}: logits: expected ${tokens.length} x ${vocabulary}, got ${logits.length / tokens.length} a token`,
    );
  }
  const limit = given.limit ?? (given.activation === "f32" ? 1e-6 : 1e-3);
  const error = nmse(actual, logits);
  const result = {
    tokens: tokens.length,
    nmse: error,
    limit,
    loss: meanLoss(actual, tokens),
    referenceLoss: meanLoss(logits, tokens),
    // Written so that NaN fails, too.
    within: error <= limit,
  };
  if (given.json) await printJson(result);
  else {
    await printLine(
      table([
        ["tokens", String(result.tokens)],
        ["nmse", `${error.toExponential(2)} (limit ${limit})`],
        ["loss", `${result.loss.toFixed(5)} nats a token`],
        ["reference", `${result.referenceLoss.toFixed(5)} nats a token`],
      ]),
    );
  }
  if (!result.within) note(`lowbit: eval: expected an NMSE of at most ${limit}, got ${error.toExponential(2)}`);
  return result.within ? 0 : 1;
}

async function measure(source: string, paths: readonly string[], given: Given, signal: AbortSignal): Promise<number> {
  const texts: string[] = [];
  for (const path of paths) texts.push(await textOf(path));
  // A window is the context that is asked for; the model's own may be longer.
  const { context, ...options } = given;
  const { model } = await openModel("eval", source, options as Given, signal);
  const other = given.against === undefined ? undefined : await openOther(given.against, options as Given, signal);
  const size = Math.min(context ?? WINDOW, model.info.context, other?.info.context ?? Number.POSITIVE_INFINITY);
  const sums = { tokens: 0, nats: 0, bytes: 0, kl: 0, same: 0, windows: 0 };
  for (const [i, text] of texts.entries()) {
    const all = windowsOf(model, text, size);
    if (all.length === 0) throw new Failure(`eval: ${paths[i]}: expected a text of at least 4 tokens`);
    for (const [at, window] of all.entries()) {
      if (!given.quiet && process.stderr.isTTY)
        process.stderr.write(`\r${dim(`${paths[i]}: window ${at + 1} of ${all.length}`)}`);
      await addWindow(model, other, window, sums, signal);
    }
    if (!given.quiet && process.stderr.isTTY) process.stderr.write("\r\x1b[K");
  }
  const loss = sums.nats / sums.tokens;
  const result = {
    window: size,
    windows: sums.windows,
    tokens: sums.tokens,
    loss,
    perplexity: exp(loss),
    bitsPerByte: sums.nats / log(2) / sums.bytes,
    ...(other && { kl: sums.kl / sums.tokens, sameTop: sums.same / sums.tokens }),
  };
  if (given.json) {
    await printJson(result);
    return 0;
  }
  await printLine(
    table([
      ["perplexity", result.perplexity.toFixed(4)],
      ["loss", `${loss.toFixed(5)} nats a token`],
      ["bits a byte", result.bitsPerByte.toFixed(4)],
      ["counted", `${sums.tokens} tokens of ${sums.windows} windows of ${size}`],
      ...(other
        ? [
            ["KL", `${(sums.kl / sums.tokens).toFixed(6)} nats a token from ${given.against}`],
            ["same first", `${((100 * sums.same) / sums.tokens).toFixed(2)} % of tokens`],
          ]
        : []),
    ]),
  );
  return 0;
}

/** The other model as its file has it: options of quantising are for the first. */
async function openOther(source: string, given: Given, signal: AbortSignal): Promise<LanguageModel> {
  const { format: _, kv: __, activation: ___, ...others } = given;
  return (await openModel("eval", source, others as Given, signal)).model;
}

async function textOf(path: string): Promise<string> {
  if (path !== "-") return readFile(path, "utf8");
  const parts: Buffer[] = [];
  for await (const part of process.stdin) parts.push(part as Buffer);
  return Buffer.concat(parts).toString("utf8");
}

/**
 * Windows of `size` tokens, one after the other, whose first is the token that texts begin by, where the model has one; what is left
 * does not fill a window. A text that is shorter than one is a window by itself.
 */
function windowsOf({ tokenizer }: LanguageModel, text: string, size: number): Uint32Array[] {
  const tokens = tokenizer.encode(text);
  const first = tokenizer.encode(text, { special: false })[0];
  const begins = tokens.length > 0 && tokens[0] !== first ? tokens[0] : undefined;
  if (tokens.length < 4) return [];
  if (tokens.length < size) return [tokens];
  return Array.from({ length: Math.floor(tokens.length / size) }, (_, i) => {
    const window = tokens.slice(i * size, (i + 1) * size);
    if (begins !== undefined) window[0] = begins;
    return window;
  });
}

async function addWindow(
  model: LanguageModel,
  other: LanguageModel | undefined,
  window: Uint32Array,
  sums: { tokens: number; nats: number; bytes: number; kl: number; same: number; windows: number },
  signal: AbortSignal,
): Promise<void> {
  // The second half: what it foresees has at least half a window in front of it.
  const from = window.length >> 1;
  const logits = await model.logits(window, { from, signal });
  const others = await other?.logits(window, { from, signal });
  const vocabulary = logits.length / (window.length - from);
  if (others && others.length !== logits.length) {
    throw new Failure("eval: --against: expected a model with the same vocabulary, got another");
  }
  for (let i = from; i + 1 < window.length; i++) {
    const row = (all: Float32Array): Float32Array => all.subarray((i - from) * vocabulary, (i - from + 1) * vocabulary);
    sums.nats += surprise(row(logits), window[i + 1] as number);
    sums.tokens++;
    if (!others) continue;
    const { kl, same } = compare(row(logits), row(others));
    sums.kl += kl;
    if (same) sums.same++;
  }
  const counted = model.tokenizer.decode(window.slice(from + 1), { special: true });
  sums.bytes += new TextEncoder().encode(counted).length;
  sums.windows++;
}
