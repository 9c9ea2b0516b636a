// A conversation: tokens, their keys and values, and what continues them.
import { log } from "../numeric/elementary.ts";
import type { Engine } from "../runtime/engine.ts";
import { KvCache } from "./cache.ts";
import { kvShape, type ModelConfig } from "./config.ts";
import type { Decoder } from "./decoder.ts";
import {
  type Answer,
  checkGenerate,
  type GenerateOptions,
  Generation,
  type Piece,
  type Result,
  type Settings,
} from "./generate.ts";
import type { KvLayout } from "./kv-layout.ts";
import { Random } from "./random.ts";
import { sameFrequencies } from "./rope.ts";
import { likeliest, sample } from "./sampling.ts";
import { readState, writeState } from "./state.ts";
import { BATCH } from "./step.ts";
import { StopFilter, TextStream } from "./stream.ts";
import { checkMessages, type Message } from "./template.ts";
import type { ModelTokenizer } from "./tokenizer.ts";
import { Turns } from "./turns.ts";

/** Text, tokens, or messages of a chat. */
export type Prompt = string | ArrayLike<number> | readonly Message[];

/** What all sessions of a model share. */
export interface Shared {
  readonly engine: Engine;
  readonly config: ModelConfig;
  readonly decoder: Decoder;
  readonly tokenizer: ModelTokenizer | undefined;
  /** Tokens that there may be in a conversation. */
  readonly context: number;
  /** What keys and values are, where a session says nothing else. */
  readonly kv: KvLayout;
  /** What tells a model's state from that of another. */
  readonly fingerprint: string;
  /** Throws where the model is gone. */
  alive(): void;
}

/** A prompt and its answer do not fit the context. */
export class ContextError extends RangeError {
  override name = "ContextError";
}

/** Milliseconds of work after which others get a turn. */
const TURN = 12;

interface Outcome {
  text: string;
  finish: Result["finish"];
  reused: number;
  generated: number;
  started: number;
  /** When the prompt was read; 0: not yet. */
  read: number;
}

export class Session {
  readonly #shared: Shared;
  readonly #cache: KvCache;
  #tokens: number[] = [];
  /** The length of the sequence that keys were rotated for. */
  #length = 0;
  #turn: Promise<unknown> = Promise.resolve();
  #gone = false;

  /** @param saved what save() of a session of the same model gave */
  constructor(shared: Shared, saved?: Uint8Array, kv: KvLayout = shared.kv) {
    this.#shared = shared;
    this.#cache = new KvCache(shared.engine, kvShape(shared.config), kv);
    if (saved === undefined) return;
    const { tokens, numbers } = readState("session", saved, shared.fingerprint, this.#cache, shared.context);
    this.#cache.restore(tokens.length, numbers);
    this.#tokens = tokens;
    this.#length = tokens.length;
  }

  /** Those whose keys and values are there. */
  get tokens(): readonly number[] {
    return [...this.#tokens];
  }

  /**
   * Continues a prompt. What it has in common with the tokens so far is not computed again. Answers of one session take turns.
   *
   * @throws TypeError, RangeError for wrong options; ContextError (when the answer is asked for) for a prompt that is too long
   */
  generate(prompt: Prompt, options: GenerateOptions = {}): Generation {
    const settings = checkGenerate("generate", options);
    const tokens = this.tokenize(prompt);
    return new Generation(() => this.#begin(tokens, settings));
  }

  /** Everything, to be continued by session(saved) of the same model on any machine, with the same bits. */
  save(): Uint8Array {
    this.#alive();
    return writeState(this.#shared.fingerprint, this.#tokens, this.#cache);
  }

  dispose(): void {
    this.#gone = true;
    this.#tokens = [];
    this.#cache.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #alive(): void {
    this.#shared.alive();
    if (this.#gone) throw new TypeError("session: this session was disposed");
  }

  /**
   * The tokens that a prompt is.
   *
   * @throws TypeError, RangeError for a prompt that is none; TemplateError
   */
  tokenize(prompt: Prompt): number[] {
    const { tokenizer, config } = this.#shared;
    const isText = typeof prompt === "string";
    const isChat = !isText && Array.isArray(prompt) && typeof prompt[0] === "object";
    if ((isText || isChat) && !tokenizer) {
      throw new TypeError("generate: prompt: expected tokens, since this model came without a tokenizer");
    }
    let tokens: number[];
    if (isText) tokens = Array.from((tokenizer as ModelTokenizer).encode(prompt));
    else if (isChat)
      tokens = Array.from((tokenizer as ModelTokenizer).chat(checkMessages(prompt as readonly Message[])));
    else tokens = Array.from(prompt as ArrayLike<number>);
    if (tokens.length === 0) throw new RangeError("generate: prompt: expected at least one token, got none");
    const bad = tokens.findIndex((token) => !(Number.isInteger(token) && token >= 0 && token < config.vocabulary));
    if (bad >= 0) {
      throw new RangeError(
        `generate: prompt: expected tokens from 0 to ${config.vocabulary - 1}, got ${tokens[bad]} at index ${bad}`,
      );
    }
    return tokens;
  }

  #begin(prompt: number[], settings: Settings): Answer {
    // What an answer is that ends before it says so: left, or aborted.
    const outcome: Outcome = {
      text: "",
      finish: "abort",
      reused: 0,
      generated: 0,
      started: performance.now(),
      read: 0,
    };
    return {
      pieces: this.#inTurn(prompt, settings, outcome),
      result: () => {
        const { text, finish, reused, generated, started } = outcome;
        const read = outcome.read || performance.now();
        return {
          text,
          finish,
          usage: { prompt: prompt.length, reused, generated },
          milliseconds: { prompt: read - started, generate: performance.now() - read },
        };
      },
    };
  }

  async *#inTurn(prompt: number[], settings: Settings, outcome: Outcome): AsyncGenerator<Piece, void> {
    const before = this.#turn;
    let release: () => void = () => {};
    this.#turn = new Promise<void>((resolve) => {
      release = resolve;
    });
    try {
      await before;
      outcome.started = performance.now();
      yield* this.#answer(prompt, settings, outcome);
    } finally {
      release();
    }
  }

  async *#answer(prompt: number[], settings: Settings, outcome: Outcome): AsyncGenerator<Piece, void> {
    this.#alive();
    const { config, context, tokenizer } = this.#shared;
    const { signal, maxTokens } = settings;
    if (prompt.length > context) {
      const expected = `at most ${context} tokens, the context of this model`;
      throw new ContextError(`generate: prompt: expected ${expected}, got ${prompt.length}`);
    }
    const turns = new Turns(TURN);
    const reused = this.#reuse(prompt);
    outcome.reused = reused;
    let last = 0;
    for (let at = reused; at < prompt.length; at += BATCH) {
      if (signal?.aborted) return;
      settings.onProgress?.(at - reused, prompt.length - reused);
      last = this.#append(prompt.slice(at, at + BATCH), prompt.length);
      await turns.maybe();
      this.#alive();
    }
    settings.onProgress?.(prompt.length - reused, prompt.length - reused);
    outcome.read = performance.now();
    const random = new Random(settings.seed);
    const stream = tokenizer && new TextStream(tokenizer, prompt);
    const filter = new StopFilter(settings.stops);
    const answer: number[] = [];
    let piece: Piece = { text: "", token: 0, logprob: 0 };
    // What was held back comes with the last token once more.
    const ending = (finish: Result["finish"]): Piece | undefined => {
      const rest = filter.push(stream?.end() ?? "");
      const text = filter.stopped ? rest : rest + filter.end();
      outcome.text += text;
      outcome.finish = filter.stopped ? "stop" : finish;
      return text === "" ? undefined : { ...piece, text };
    };
    while (!signal?.aborted) {
      const full = prompt.length + answer.length >= context;
      if (answer.length >= maxTokens || full) {
        const rest = ending(answer.length >= maxTokens ? "length" : "context");
        if (rest) yield rest;
        return;
      }
      const { token, logprob } = this.#choose(last, prompt, answer, settings, random);
      if (config.ends.includes(token)) {
        const rest = ending("stop");
        if (rest) yield rest;
        return;
      }
      answer.push(token);
      outcome.generated = answer.length;
      const text = filter.push(stream?.push(token) ?? "");
      outcome.text += text;
      piece = { text, token, logprob };
      if (filter.stopped) outcome.finish = "stop";
      yield piece;
      if (filter.stopped) return;
      await turns.maybe();
      this.#alive();
      if (signal?.aborted) return;
      if (answer.length < maxTokens && prompt.length + answer.length < context) {
        last = this.#append([token], this.#tokens.length + 1);
      }
    }
  }

  // The token after the last, and the logarithm of the probability that the model gives it.
  #choose(
    last: number,
    prompt: readonly number[],
    answer: readonly number[],
    settings: Settings,
    random: Random,
  ): { token: number; logprob: number } {
    const { config, decoder, engine, tokenizer } = this.#shared;
    // Rows beyond the tokenizer's tokens only pad the matrix.
    const size = Math.min(config.vocabulary, tokenizer?.size ?? config.vocabulary);
    const given = decoder.logits(last).subarray(0, size);
    const best = likeliest(given);
    const most = given[best] as number;
    const total = engine.exports.model_sum_exp(given.byteOffset, size, most);
    const changed = settings.logits !== undefined || settings.repetitionPenalty !== 1;
    let token = best;
    if (changed || settings.temperature !== 0) {
      const logits = changed ? given.slice() : given;
      const seen = changed ? prompt.concat(answer) : [];
      settings.logits?.(logits, seen);
      token = sample(logits, seen, settings, random);
    }
    return { token, logprob: (given[token] as number) - most - log(total) };
  }

  // Brings the cache to what it has in common with a prompt, at least one token short of it, and says how much that is.
  #reuse(prompt: readonly number[]): number {
    const { config } = this.#shared;
    const most = Math.min(prompt.length - 1, this.#tokens.length);
    let same = 0;
    while (same < most && this.#tokens[same] === prompt[same]) same++;
    // Keys that were rotated by other frequencies do not serve.
    if (!config.ropes.every((rope) => rope.type !== "dynamic" && sameFrequencies(rope, this.#length, prompt.length)))
      same = 0;
    same = this.#cache.rewind(same);
    this.#tokens.length = same;
    this.#length = prompt.length;
    return same;
  }

  // Computes tokens and returns which of them, in the batch, is the last.
  #append(tokens: readonly number[], length: number): number {
    const { config, decoder } = this.#shared;
    const all = this.#tokens;
    if (!config.ropes.every((rope) => sameFrequencies(rope, this.#length, length))) {
      // From here on other frequencies: everything is computed again.
      const whole = [...all, ...tokens];
      this.#cache.rewind(0);
      all.length = 0;
      this.#length = length;
      let last = 0;
      for (let at = 0; at < whole.length; at += BATCH) last = this.#append(whole.slice(at, at + BATCH), length);
      return last;
    }
    decoder.forward(this.#cache, tokens, all.length, length);
    all.push(...tokens);
    this.#length = Math.max(this.#length, length);
    return tokens.length - 1;
  }
}
