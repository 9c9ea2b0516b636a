// The commands by their names. One is loaded when it is called: a module of this folder that exports `command`.
import type { Command } from "../command.ts";

interface Entry {
  readonly summary: string;
  load(): Promise<Command>;
}

export const commands: Readonly<Record<string, Entry>> = {
  run: {
    summary: "continue a text, or chat",
    load: async () => (await import("./run.ts")).command,
  },
  inspect: {
    summary: "what is in a file of weights",
    load: async () => (await import("./inspect.ts")).command,
  },
  info: {
    summary: "this machine: versions, features, and which kernels are chosen",
    load: async () => (await import("./info.ts")).command,
  },
};
