// From tokens as they come to text that can be shown: whole characters, and nothing of a stop string.
import type { Tokenizer } from "./tokenizer.ts";

/** Tokens of the prompt that are decoded along, so that a space in front of the first new word is not lost. */
const CONTEXT = 8;

/** Pieces of text whose sum is what all tokens decode to. */
export class TextStream {
  readonly #tokenizer: Tokenizer;
  #tokens: number[];
  /** What of the text of #tokens is out already: that of the first `#read`. */
  #read: number;
  #before: string;

  /** @param prompt the tokens before the first that comes */
  constructor(tokenizer: Tokenizer, prompt: readonly number[]) {
    this.#tokenizer = tokenizer;
    this.#tokens = prompt.slice(-CONTEXT);
    this.#read = this.#tokens.length;
    this.#before = tokenizer.decode(this.#tokens);
  }

  /** The text that a token completes: "" within a character. */
  push(token: number): string {
    this.#tokens.push(token);
    const text = this.#tokenizer.decode(this.#tokens);
    // U+FFFD at the end may be the beginning of a character.
    if (text.endsWith("\ufffd") || text.length <= this.#before.length) return "";
    const piece = text.slice(this.#before.length);
    // Tokens that are out stay as context of the next.
    this.#tokens = this.#tokens.slice(Math.min(this.#read, this.#tokens.length - 1));
    this.#read = this.#tokens.length;
    this.#before = this.#tokenizer.decode(this.#tokens);
    return piece;
  }

  /** What is left at the end: a character that is not whole is one U+FFFD. */
  end(): string {
    const text = this.#tokenizer.decode(this.#tokens);
    const piece = text.slice(this.#before.length);
    this.#before = text;
    return piece.replace(/\ufffd+$/u, "\ufffd");
  }
}

/** Holds back what may become a stop string. */
export class StopFilter {
  readonly #stops: readonly string[];
  #held = "";
  stopped = false;

  constructor(stops: readonly string[]) {
    this.#stops = stops.filter((stop) => stop !== "");
  }

  /** The part of the text so far that is certain not to be of a stop string; sets `stopped` where one is found. */
  push(piece: string): string {
    if (this.stopped) return "";
    const text = this.#held + piece;
    const found = this.#stops.map((stop) => text.indexOf(stop)).filter((at) => at >= 0);
    if (found.length > 0) {
      this.stopped = true;
      this.#held = "";
      return text.slice(0, Math.min(...found));
    }
    let keep = 0;
    for (const stop of this.#stops) {
      for (let length = Math.min(stop.length - 1, text.length); length > keep; length--) {
        if (text.endsWith(stop.slice(0, length))) keep = length;
      }
    }
    this.#held = text.slice(text.length - keep);
    return text.slice(0, text.length - keep);
  }

  /** What was held back, when no more comes. */
  end(): string {
    const held = this.#held;
    this.#held = "";
    return held;
  }
}
