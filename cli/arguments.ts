// Options of a command: a table of them, read strictly by node:util, with the nearest name where one is not known.
import { parseArgs } from "node:util";
import { nearest } from "#lowbit/lib/options";
import { UsageError } from "./errors.ts";

export interface Option {
  readonly type: "text" | "flag" | "whole" | "number";
  readonly short?: string;
  /** What its value is called in help. */
  readonly value?: string;
  readonly help: string;
  /** Of numbers. */
  readonly least?: number;
  readonly most?: number;
  readonly choices?: readonly string[];
  /** May be given several times. */
  readonly many?: true;
}

export type Options = Readonly<Record<string, Option>>;

type One<O extends Option> = O["type"] extends "flag" ? boolean : O["type"] extends "text" ? string : number;
/** Values by the names of options; those that were not given are undefined. */
export type Values<S extends Options> = {
  readonly [K in keyof S]: (S[K] extends { readonly many: true } ? readonly One<S[K]>[] : One<S[K]>) | undefined;
};

/** What every command takes. */
const COMMON = {
  help: { type: "flag", short: "h", help: "this page" },
} as const satisfies Options;

export interface Parsed<S extends Options> {
  readonly values: Values<S> & { readonly help: boolean | undefined };
  readonly rest: readonly string[];
}

/** @throws UsageError */
export function parse<S extends Options>(command: string, spec: S, args: readonly string[]): Parsed<S> {
  const all: Options = { ...spec, ...COMMON };
  const options = Object.fromEntries(
    Object.entries(all).map(([name, { type, short, many }]) => [
      name,
      {
        type: type === "flag" ? ("boolean" as const) : ("string" as const),
        ...(short !== undefined && { short }),
        ...(many && { multiple: true }),
      },
    ]),
  );
  checkNames(command, all, args, options);
  let given: ReturnType<typeof parseArgs>;
  try {
    given = parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
  } catch (error) {
    // Its messages are several sentences; the first says what is wrong.
    const [first] = (error as Error).message.split(/\.\s|\n/) as [string];
    throw new UsageError(`${command}: ${first.replace(/\.$/, "")}`);
  }
  const values = Object.fromEntries(
    Object.entries(given.values).map(([name, value]) => {
      const option = all[name] as Option;
      const read = (one: unknown): unknown =>
        typeof one === "string" ? readValue(`${command}: --${name}`, option, one) : one;
      return [name, Array.isArray(value) ? value.map(read) : read(value)];
    }),
  );
  return { values: values as Parsed<S>["values"], rest: given.positionals };
}

type Config = NonNullable<NonNullable<Parameters<typeof parseArgs>[0]>["options"]>;

function checkNames(command: string, all: Options, args: readonly string[], options: Config): void {
  const { tokens } = parseArgs({ args: [...args], options, allowPositionals: true, strict: false, tokens: true });
  for (const token of tokens) {
    if (token.kind !== "option" || Object.hasOwn(all, token.name)) continue;
    const near = token.name.length > 1 ? nearest(token.name, Object.keys(all)) : undefined;
    const hint = near === undefined ? `lowbit ${command} --help lists them` : `did you mean --${near}?`;
    throw new UsageError(`${command}: there is no option ${token.rawName} (${hint})`);
  }
}

function readValue(
  where: string,
  { type, least = -Infinity, most = Infinity, choices }: Option,
  text: string,
): unknown {
  if (type === "text") {
    if (choices && !choices.includes(text)) throw expected(where, `one of ${choices.join(", ")}`, text);
    return text;
  }
  const value = /^-?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : Number.NaN;
  const whole = type === "whole";
  if (value >= least && value <= most && (!whole || Number.isSafeInteger(value))) return value;
  const range = most < Infinity ? ` from ${least} to ${most}` : least > -Infinity ? ` of ${least} or more` : "";
  throw expected(where, `a ${whole ? "whole " : ""}number${range}`, text);
}

export function expected(where: string, what: string, got: string): UsageError {
  return new UsageError(`${where}: expected ${what}, got ${JSON.stringify(got.slice(0, 64))}`);
}

/** The lines of a table of options. */
export function describe(spec: Options): string {
  const rows = Object.entries<Option>({ ...spec, ...COMMON }).map(([name, { short, value, type, help }]) => {
    const names = `${short ? `-${short}, ` : "    "}--${name}`;
    return [type === "flag" ? names : `${names} ${value ?? "N"}`, help] as const;
  });
  const width = Math.max(...rows.map(([left]) => left.length)) + 2;
  return rows.map(([left, help]) => `  ${left.padEnd(width)}${help}`).join("\n");
}
