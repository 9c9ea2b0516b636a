// JSON of files that may be hostile: a name twice in an object is refused, and so is nesting beyond what any file has.
// JSON.parse lets the last of two names win, and on some engines runs out of stack.
import { plain } from "./text.ts";

/** Objects are maps: names like "__proto__" and "constructor" are names like others. */
export type Json = string | number | boolean | null | readonly Json[] | JsonObject;
export type JsonObject = ReadonlyMap<string, Json>;

/** Objects and arrays within each other: headers have 3, configurations of models about 6. */
const DEEPEST = 64;

const SPACE = /[ \t\n\r]*/y;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const WORD = /true|false|null/y;

/**
 * @throws SyntaxError: what is wrong and at which character; plain text that may stand in a message
 */
export function parseJson(text: string): Json {
  const reader = new Reader(text);
  const value = reader.value(0);
  reader.end();
  return value;
}

class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
    this.#match(SPACE);
  }

  value(depth: number): Json {
    const first = this.#text[this.#at];
    if (first === "{" || first === "[") {
      if (depth === DEEPEST) throw this.#fault(`nesting of ${DEEPEST} at most`);
      this.#step();
      return first === "{" ? this.#object(depth) : this.#array(depth);
    }
    const value = first === '"' ? this.#string() : this.#scalar();
    this.#match(SPACE);
    return value;
  }

  end(): void {
    if (this.#at < this.#text.length) throw this.#fault("the end");
  }

  #object(depth: number): JsonObject {
    const members = new Map<string, Json>();
    if (this.#take("}")) return members;
    do {
      const at = this.#at;
      if (this.#text[at] !== '"') throw this.#fault("a name");
      const name = this.#string();
      if (members.has(name)) throw new SyntaxError(`${plain(name)} is there twice, again at character ${at}`);
      this.#match(SPACE);
      if (!this.#take(":")) throw this.#fault('":"');
      members.set(name, this.value(depth + 1));
    } while (this.#take(","));
    if (!this.#take("}")) throw this.#fault('"," or "}"');
    return members;
  }

  #array(depth: number): Json[] {
    const items: Json[] = [];
    if (this.#take("]")) return items;
    do items.push(this.value(depth + 1));
    while (this.#take(","));
    if (!this.#take("]")) throw this.#fault('"," or "]"');
    return items;
  }

  #string(): string {
    const at = this.#at;
    let end = at;
    do {
      end = this.#text.indexOf('"', end + 1);
      if (end < 0) throw new SyntaxError(`the string at character ${at} has no end`);
    } while (this.#isEscaped(end));
    this.#at = end + 1;
    let value: string;
    try {
      // What JSON.parse refuses within a string is refused here, too.
      value = JSON.parse(this.#text.slice(at, end + 1)) as string;
    } catch {
      throw new SyntaxError(`a string with a wrong escape or a control character at character ${at}`);
    }
    if (/\p{Cs}/u.test(value)) throw new SyntaxError(`half of a surrogate pair in the string at character ${at}`);
    return value;
  }

  #isEscaped(at: number): boolean {
    let first = at;
    while (this.#text[first - 1] === "\\") first--;
    return (at - first) % 2 === 1;
  }

  #scalar(): Json {
    const word = this.#match(WORD);
    if (word !== undefined) return word === "null" ? null : word === "true";
    const number = this.#match(NUMBER);
    if (number === undefined) throw this.#fault("a value");
    return Number(number);
  }

  #take(character: string): boolean {
    if (this.#text[this.#at] !== character) return false;
    this.#step();
    return true;
  }

  #step(): void {
    this.#at++;
    this.#match(SPACE);
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text);
    if (found === null) return undefined;
    this.#at = pattern.lastIndex;
    return found[0];
  }

  #fault(expected: string): SyntaxError {
    const rest = this.#text.slice(this.#at, this.#at + 16);
    const got = rest === "" ? "the end" : `"${plain(rest)}"`;
    return new SyntaxError(`expected ${expected} at character ${this.#at}, got ${got}`);
  }
}
