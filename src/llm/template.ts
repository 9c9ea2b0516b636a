// Chat templates: Jinja as transformers sets it up, within a number of steps, since a template comes with a model.

import { Environment, Interpreter, Template } from "@huggingface/jinja";
import { checkChoice, typeError } from "../lib/check.ts";

export interface Message {
  readonly role: "system" | "user" | "assistant" | "tool";
  readonly content: string;
}

const ROLES = ["system", "user", "assistant", "tool"] as const;

/** @throws TypeError, RangeError for messages that are none */
export function checkMessages(messages: readonly Message[]): readonly Message[] {
  return messages.map((message, i) => {
    const { role, content } = message ?? {};
    if (typeof content !== "string") throw typeError(`chat: messages[${i}]: content`, "a string", content);
    return { role: checkChoice(`chat: messages[${i}]: role`, role, ROLES), content };
  });
}

/** Parts of a template that are evaluated at most: real ones take some hundreds a message. */
const MOST_STEPS = 100_000;
/** Numbers of a range at most. */
const MOST_NUMBERS = 1000;
/** Characters that come out at most, beyond four times those of the messages. */
const MOST_CHARACTERS = 1_000_000;

/** A template that was refused, or that refused the messages: the template's own words. */
export class TemplateError extends Error {
  override name = "TemplateError";
}

/** What is used of the package: its declarations name files in a way that is not resolved. */
interface Evaluator {
  evaluate(statement: unknown, environment: object): unknown;
  run(program: unknown): unknown;
}
type EvaluatorClass = new (environment: object) => Evaluator;
interface Scope {
  set(name: string, value: unknown): unknown;
}

class Bounded extends (Interpreter as unknown as EvaluatorClass) {
  #steps = 0;
  #characters: number;

  constructor(environment: object, characters: number) {
    super(environment);
    this.#characters = characters;
  }

  override evaluate(statement: unknown, environment: object): unknown {
    if (++this.#steps > MOST_STEPS) throw new TemplateError(`template: expected at most ${MOST_STEPS} steps`);
    const value = super.evaluate(statement, environment);
    const text = (value as { value?: unknown } | undefined)?.value;
    if (typeof text === "string" && text.length > this.#characters) {
      throw new TemplateError(`template: expected at most ${this.#characters} characters`);
    }
    return value;
  }
}

/** Jinja's range, of at most MOST_NUMBERS. */
function range(start: number, stop?: number, step = 1): number[] {
  const [from, to] = stop === undefined ? [0, start] : [start, stop];
  if (step === 0) throw new TemplateError("template: range: expected a step that is not 0");
  const count = Math.max(0, Math.ceil((to - from) / step));
  if (!(count <= MOST_NUMBERS)) throw new TemplateError(`template: range: expected at most ${MOST_NUMBERS} numbers`);
  return Array.from({ length: count }, (_, i) => from + i * step);
}

/** Dates as strftime writes them, of the moment: years, months and what else templates ask for. */
function strftime(format: string): string {
  const now = new Date();
  const two = (value: number): string => String(value).padStart(2, "0");
  const month = now.toLocaleString("en-US", { month: "long" });
  const day = now.toLocaleString("en-US", { weekday: "long" });
  const parts: Readonly<Record<string, string>> = {
    Y: String(now.getFullYear()),
    m: two(now.getMonth() + 1),
    d: two(now.getDate()),
    H: two(now.getHours()),
    M: two(now.getMinutes()),
    S: two(now.getSeconds()),
    B: month,
    b: month.slice(0, 3),
    A: day,
    a: day.slice(0, 3),
    "%": "%",
  };
  return format.replaceAll(/%([A-Za-z%])/g, (whole, letter: string) => parts[letter] ?? whole);
}

/**
 * @param variables what the template sees besides: messages, bos_token, …
 * @throws TemplateError for a template that is wrong, refuses the messages, or takes too long
 */
export function renderTemplate(source: string, variables: Readonly<Record<string, unknown>>): string {
  const environment = new (Environment as unknown as new () => Scope)();
  const helpers: Record<string, unknown> = {
    false: false,
    true: true,
    none: null,
    False: false,
    True: true,
    None: null,
    raise_exception: (message: unknown) => {
      throw new TemplateError(String(message));
    },
    range,
    strftime_now: strftime,
  };
  try {
    for (const [name, value] of Object.entries({ ...helpers, ...variables })) environment.set(name, value);
    const { parsed } = new Template(source);
    const given = JSON.stringify(variables).length;
    const result = new Bounded(environment, MOST_CHARACTERS + 4 * given).run(parsed);
    return String((result as { value: unknown }).value);
  } catch (error) {
    if (error instanceof TemplateError) throw error;
    throw new TemplateError(`template: ${error instanceof Error ? error.message : String(error)}`);
  }
}
