// What a caller asks of a session, checked, and what it gets.
import { checkInteger, rangeError, typeError } from "../lib/check.ts";
import { type OptionNames, readOptions } from "../lib/options.ts";
import type { Sampling } from "./sampling.ts";

export interface GenerateOptions {
  /** Tokens to generate at most. Default: as many as the context has room for. */
  readonly maxTokens?: number;
  /** Text that ends the answer and is not part of it, also where it is split over tokens. */
  readonly stop?: string | readonly string[];
  /** 0 (default): the likeliest token each time. */
  readonly temperature?: number;
  /** Of the likeliest tokens so many; 0 (default): all. */
  readonly topK?: number;
  /** Of the likeliest tokens those that together have this probability; 1 (default): all. */
  readonly topP?: number;
  /** Tokens with at least this part of the likeliest one's probability; 0 (default): all. */
  readonly minP?: number;
  /** Above 1, tokens of the prompt and the answer become less likely. Default 1. */
  readonly repetitionPenalty?: number;
  /** A whole number from 0 to 2^53 - 1: the same seed, the same text, everywhere. Default 0. */
  readonly seed?: number;
  /** May change the logits of the next token before it is chosen; -Infinity forbids one. */
  readonly logits?: (logits: Float32Array, tokens: readonly number[]) => void;
  readonly signal?: AbortSignal | undefined;
  /** Told how many tokens of the prompt are read. */
  readonly onProgress?: ((done: number, of: number) => void) | undefined;
}

/** A piece of text with the token that completed it. */
export interface Piece {
  readonly text: string;
  readonly token: number;
  /** Natural logarithm of the probability that the model gave the token, before temperature, penalties and filters. */
  readonly logprob: number;
}

export interface Result {
  readonly text: string;
  /** An end token or stop string; maxTokens; no room in the context; the signal, or a loop that was left. */
  readonly finish: "stop" | "length" | "context" | "abort";
  /** Tokens: of the prompt, those of them that were in the cache already, and generated ones, an end token not counted. */
  readonly usage: { readonly prompt: number; readonly reused: number; readonly generated: number };
  readonly milliseconds: { readonly prompt: number; readonly generate: number };
}

/** Checked options. */
export interface Settings extends Sampling {
  readonly maxTokens: number;
  readonly stops: readonly string[];
  readonly seed: number;
  readonly logits: GenerateOptions["logits"];
  readonly signal: AbortSignal | undefined;
  readonly onProgress: GenerateOptions["onProgress"];
}

const NAMES: OptionNames<GenerateOptions> = {
  maxTokens: ["max_tokens", "max_new_tokens", "max_completion_tokens"],
  stop: [],
  temperature: [],
  topK: ["top_k"],
  topP: ["top_p"],
  minP: ["min_p"],
  repetitionPenalty: ["repetition_penalty"],
  seed: [],
  logits: [],
  signal: [],
  onProgress: [],
};

export function checkGenerate(where: string, options: GenerateOptions): Settings {
  const given = readOptions<GenerateOptions>(where, options, NAMES);
  const number = (name: keyof GenerateOptions, fallback: number, low: number, high: number): number => {
    const value = given[name] === undefined ? fallback : given[name];
    if (typeof value !== "number") throw typeError(`${where}: ${name}`, `a number from ${low} to ${high}`, value);
    if (!(value >= low && value <= high))
      throw rangeError(`${where}: ${name}`, `a number from ${low} to ${high}`, value);
    return value;
  };
  const { signal, logits, onProgress } = given;
  if (signal !== undefined && typeof signal.aborted !== "boolean")
    throw typeError(`${where}: signal`, "an AbortSignal", signal);
  for (const [name, value] of Object.entries({ logits, onProgress })) {
    if (value !== undefined && typeof value !== "function") throw typeError(`${where}: ${name}`, "a function", value);
  }
  return {
    maxTokens: checkInteger(`${where}: maxTokens`, given.maxTokens ?? 2 ** 31, 0, 2 ** 31),
    stops: checkStops(where, given.stop),
    temperature: number("temperature", 0, 0, 1000),
    topK: checkInteger(`${where}: topK`, given.topK ?? 0, 0, 2 ** 31),
    topP: number("topP", 1, 0, 1),
    minP: number("minP", 0, 0, 1),
    repetitionPenalty: number("repetitionPenalty", 1, 1e-3, 1e3),
    seed: checkInteger(`${where}: seed`, given.seed ?? 0, 0, Number.MAX_SAFE_INTEGER),
    logits,
    signal,
    onProgress,
  };
}

function checkStops(where: string, stop: unknown): readonly string[] {
  if (stop === undefined) return [];
  const stops: readonly unknown[] = Array.isArray(stop) ? stop : [stop];
  for (const one of stops) if (typeof one !== "string") throw typeError(`${where}: stop`, "a string or strings", one);
  return [...stops] as string[];
}

/** An answer in the making: what comes of it, and, when that has ended, what it was. */
export interface Answer {
  readonly pieces: AsyncGenerator<Piece, void>;
  result(): Result;
}

/**
 * An answer: `for await` gives its tokens with the whole characters that they complete as they come, awaiting it gives all. It
 * begins when it is first asked for. Leaving the loop stops the work; awaiting it then gives what there was.
 */
export class Generation implements AsyncIterable<Piece>, PromiseLike<Result> {
  readonly #begin: () => Answer;
  #result: Promise<Result> | undefined;

  constructor(begin: () => Answer) {
    this.#begin = begin;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Piece, void> {
    if (this.#result) throw new TypeError("generate: this answer was asked for already");
    let settle: (result: Result | PromiseLike<Result>) => void = () => {};
    this.#result = new Promise((resolve) => {
      settle = resolve;
    });
    // Whoever iterates meets an error in the loop; it may be that nobody awaits the result.
    this.#result.catch(() => {});
    const { pieces, result } = this.#begin();
    try {
      yield* pieces;
    } catch (error) {
      settle(Promise.reject(error));
      throw error;
    } finally {
      settle(result());
    }
  }

  // biome-ignore lint/suspicious/noThenProperty: awaiting an answer is what it is for
  then<A = Result, B = never>(
    fulfilled?: ((value: Result) => A | PromiseLike<A>) | null,
    rejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    this.#result ??= this.#all();
    return this.#result.then(fulfilled, rejected);
  }

  async #all(): Promise<Result> {
    const { pieces, result } = this.#begin();
    while (!(await pieces.next()).done);
    return result();
  }
}
