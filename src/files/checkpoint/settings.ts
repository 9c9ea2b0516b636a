// What config.json says of a method: members with their types, and the lists of modules that are left alone.
import { rangeError, typeError } from "../../lib/check.ts";

export type Json = Readonly<Record<string, unknown>>;

/** Patterns longer than this are no module's name. */
const LONGEST = 1000;

export class Settings {
  readonly json: Json;
  readonly #at: string;

  constructor(json: Json, at: string) {
    this.json = json;
    this.#at = at;
  }

  get(name: string): unknown {
    const value = Object.hasOwn(this.json, name) ? this.json[name] : undefined;
    return value === null ? undefined : value;
  }

  refuse(name: string, expected: string): never {
    const value = this.get(name);
    const where = `checkpoint: config.json: ${this.#at}.${name}`;
    if (value === undefined || typeof value === "object") throw typeError(where, expected, value);
    throw rangeError(where, expected, JSON.stringify(value));
  }

  integer(name: string, possible: readonly number[] | [number, number], fallback?: number): number {
    const value = this.get(name) ?? fallback;
    const range = possible.length === 2;
    const [least, most] = possible as [number, number];
    const fits = (n: number): boolean =>
      range ? Number.isInteger(n) && n >= least && n <= most : possible.includes(n);
    if (typeof value === "number" && fits(value)) return value;
    return this.refuse(name, range ? `a whole number from ${least} to ${most}` : possible.join(", "));
  }

  flag(name: string, fallback: boolean): boolean {
    const value = this.get(name) ?? fallback;
    return typeof value === "boolean" ? value : this.refuse(name, "true or false");
  }

  choice<T extends string>(name: string, possible: readonly T[], fallback?: T): T {
    const value = this.get(name) ?? fallback;
    const found = possible.find((one) => one === value);
    return found ?? this.refuse(name, possible.map((one) => JSON.stringify(one)).join(" | "));
  }

  /** Columns that share a scale; -1: all. */
  groupSize(fallback?: number): number {
    const size = this.integer("group_size", [-1, 2 ** 24], fallback);
    return size === 0 ? this.refuse("group_size", "-1, or a whole number from 1") : size;
  }

  names(name: string): readonly string[] {
    const value = this.get(name) ?? [];
    if (!Array.isArray(value) || !value.every((one): one is string => typeof one === "string")) {
      return this.refuse(name, "a list of names");
    }
    return value;
  }

  object(name: string): Settings | undefined {
    const value = this.get(name);
    if (value === undefined) return undefined;
    if (typeof value !== "object" || Array.isArray(value)) this.refuse(name, "an object");
    return new Settings(value as Json, `${this.#at}.${name}`);
  }
}

export type Says = (module: string) => boolean;

/** Anywhere in a name (AutoAWQ). */
export const contains =
  (names: readonly string[]): Says =>
  (module) =>
    names.some((name) => module.includes(name));

/** A module, what is below it, or the last parts of its name; "*" is any number of parts of one. */
export function listed(names: readonly string[]): Says {
  const patterns = names.map((name) => {
    const text = name.replace(/\.weight$/, "").replace(/[.+?^${}()|[\]\\]/g, "\\$&");
    return pattern(name, `^(?:.*\\.)?${text.replace(/\*+/g, "[^.]*")}(?:\\..*)?$`);
  });
  return (module) => patterns.some((one) => one.test(module));
}

/** Names, or "re:" and an expression that a name begins with (compressed-tensors). */
export function expressions(names: readonly string[]): Says {
  const whole = new Set(names);
  const patterns = names.filter((name) => name.startsWith("re:")).map((name) => beginning(name.slice(3)));
  return (module) => whole.has(module) || patterns.some((one) => one.test(module));
}

/** What Python's re.match looks for. @throws RangeError for an expression that JavaScript does not know */
export const beginning = (expression: string): RegExp => pattern(expression, `^(?:${expression})`);

function pattern(given: string, source: string): RegExp {
  if (given.length <= LONGEST) {
    try {
      return new RegExp(source);
    } catch {
      // Refused below.
    }
  }
  throw rangeError("checkpoint: config.json", "expressions that can be read", JSON.stringify(given.slice(0, 100)));
}
