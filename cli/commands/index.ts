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
  serve: {
    summary: "the OpenAI protocol over HTTP",
    load: async () => (await import("./serve.ts")).command,
  },
  inspect: {
    summary: "what is in a file of weights",
    load: async () => (await import("./inspect.ts")).command,
  },
  eval: {
    summary: "perplexity of a text, or the distance from a reference",
    load: async () => (await import("./eval.ts")).command,
  },
  bench: {
    summary: "tokens a second",
    load: async () => (await import("./bench.ts")).command,
  },
  cache: {
    summary: "downloads that are kept",
    load: async () => (await import("./cache.ts")).command,
  },
  quantize: {
    summary: "a checkpoint as one file of quantised weights",
    load: async () => (await import("./quantize.ts")).command,
  },
  convert: {
    summary: "a checkpoint in another container, or as numbers",
    load: async () => (await import("./convert.ts")).command,
  },
  info: {
    summary: "this machine: versions, features, and which kernels are chosen",
    load: async () => (await import("./info.ts")).command,
  },
};
