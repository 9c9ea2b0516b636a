// The command line: finds the command, says what went wrong in one sentence, and returns an exit code: 0 done, 1 failed, 2 not
// understood, 130 interrupted.
import { nearest } from "#lowbit/lib/options";
import { describe, parse } from "./arguments.ts";
import type { Command } from "./command.ts";
import { commands } from "./commands/index.ts";
import { Failure, sentenceOf, UsageError } from "./errors.ts";
import { note, printLine, watchPipes } from "./terminal.ts";
import { versionOf } from "./version.ts";

export async function main(args: readonly string[]): Promise<number> {
  watchPipes();
  try {
    return await dispatch(args);
  } catch (error) {
    note(`lowbit: ${sentenceOf(error)}`);
    if (process.env.LOWBIT_DEBUG && error instanceof Error && !(error instanceof Failure)) note(error.stack ?? "");
    return error instanceof UsageError ? 2 : 1;
  }
}

async function dispatch([name, ...args]: readonly string[]): Promise<number> {
  if (name === undefined) {
    note(overview());
    return 2;
  }
  if (name === "--version" || name === "-v") {
    await printLine(versionOf());
    return 0;
  }
  if (name === "--help" || name === "-h" || name === "help") {
    const [about] = args;
    await printLine(about === undefined ? overview() : pageOf(about, await commandOf(about)));
    return 0;
  }
  const command = await commandOf(name);
  const { values, rest } = parse(name, command.options, args);
  if (values.help) {
    await printLine(pageOf(name, command));
    return 0;
  }
  return command.run(values, rest);
}

async function commandOf(name: string): Promise<Command> {
  if (Object.hasOwn(commands, name)) return (commands[name] as (typeof commands)[string]).load();
  const near = nearest(name, Object.keys(commands));
  const hint = near === undefined ? "lowbit --help lists them" : `did you mean ${near}?`;
  throw new UsageError(`there is no command ${JSON.stringify(name.slice(0, 64))} (${hint})`);
}

function overview(): string {
  const width = Math.max(...Object.keys(commands).map((name) => name.length)) + 2;
  const lines = Object.entries(commands).map(([name, { summary }]) => `  ${name.padEnd(width)}${summary}`);
  return `lowbit ${versionOf()}: neural networks whose weights have 1 to 8 bits

lowbit COMMAND --help says more of one:
${lines.join("\n")}

SRC is a path, an address, hf:owner/repo/file, or the folder of a checkpoint.`;
}

function pageOf(name: string, { usage, about, options }: Command): string {
  return `lowbit ${name} ${usage}\n\n${about.trim()}\n\n${describe(options)}`;
}
