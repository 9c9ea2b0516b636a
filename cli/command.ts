// What a command is.
import type { Options, Values } from "./arguments.ts";

export interface Command {
  /** What stands behind the name. */
  readonly usage: string;
  readonly about: string;
  readonly options: Options;
  /** @returns the exit code */
  run(values: Values<Options>, rest: readonly string[]): Promise<number>;
}

/** A command whose values have the types of its options. */
export function define<S extends Options>(
  command: Omit<Command, "options" | "run"> & {
    readonly options: S;
    run(values: Values<S>, rest: readonly string[]): Promise<number>;
  },
): Command {
  return command as unknown as Command;
}
