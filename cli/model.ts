// What the commands that load a model have in common.
import { readFile } from "node:fs/promises";
import type { InitOptions, Lowbit } from "lowbit";
import type { SourceOptions } from "lowbit/files";
import type { LanguageModel, LoadOptions } from "lowbit/llm";
import { expected, type Options, type Values } from "./arguments.ts";
import { UsageError } from "./errors.ts";
import { Progress } from "./progress.ts";
import { bytesText } from "./terminal.ts";

export const ENGINE_OPTIONS = {
  threads: { type: "text", value: "N|auto", help: "threads to compute on (default: auto, one a processor, at most 8)" },
  variant: {
    type: "text",
    value: "NAME",
    choices: ["auto", "relaxed", "simd"],
    help: "the binary: auto (default), relaxed, simd",
  },
} as const satisfies Options;

export const MODEL_OPTIONS = {
  ...ENGINE_OPTIONS,
  activation: {
    type: "text",
    value: "NAME",
    choices: ["int8", "f32", "lut8"],
    help: "how activations meet quantised weights: int8 (default), f32, lut8",
  },
  kv: { type: "text", value: "NAME", help: "how keys and values are kept: f32, f16, int8, int4, int2" },
  context: { type: "whole", least: 1, value: "N", help: "tokens of a conversation at most (default: the model's)" },
  format: { type: "text", value: "NAME", help: "quantise floats while loading, as uniform4" },
} as const satisfies Options;

/** @throws UsageError for what is no number of threads */
export function engineOptions(command: string, { threads = "auto", variant }: Values<typeof ENGINE_OPTIONS>) {
  const count = threads === "auto" ? "auto" : Number(threads);
  if (count !== "auto" && !(Number.isInteger(count) && count >= 1 && count <= 256)) {
    throw expected(`${command}: --threads`, "a number from 1 to 256, or auto", threads);
  }
  return { threads: count, ...(variant !== undefined && { variant }) } as InitOptions;
}

/** The one source that a command is given. */
export function sourceOf(command: string, rest: readonly string[], most = 1): string {
  const [source] = rest;
  if (source === undefined || source === "") {
    throw new UsageError(`${command}: expected SRC: a path, an address, hf:owner/repo/file, or a folder`);
  }
  if (rest.length > most) {
    throw new UsageError(`${command}: expected one SRC, got ${rest.length} arguments (texts with spaces need quotes)`);
  }
  return source;
}

/** Options that reach a source: a token of the hub, from where its own tools take it. */
export function sourceOptions(source: string): SourceOptions {
  const token = process.env.HF_TOKEN;
  return token && source.startsWith("hf:") ? { headers: { authorization: `Bearer ${token}` } } : {};
}

export interface Opened {
  readonly lb: Lowbit;
  readonly model: LanguageModel;
  /** From the beginning to a model that answers. */
  readonly milliseconds: number;
}

/** Loads a model, with progress where loading takes long. */
export async function openModel(
  command: string,
  source: string,
  values: Values<typeof MODEL_OPTIONS> & {
    readonly template?: string | undefined;
    readonly quiet?: boolean | undefined;
  },
  signal?: AbortSignal,
): Promise<Opened> {
  const started = performance.now();
  const engine = engineOptions(command, values);
  const { activation, kv, context, format, template } = values;
  const text = template === undefined ? undefined : await readFile(template, "utf8");
  const { init, load } = await import("./library.ts");
  const lb = await init(engine);
  const progress = new Progress(source, !values.quiet);
  const given = {
    ...sourceOptions(source),
    ...(activation !== undefined && { activation }),
    ...(kv !== undefined && { kv }),
    ...(context !== undefined && { context }),
    ...(format !== undefined && { format }),
    ...(text !== undefined && { template: text }),
    signal,
    onProgress: (done: number, total: number) => progress.bytes(done, total),
  };
  try {
    // What load does not know it refuses by name.
    const model = await load(lb, source, given as LoadOptions);
    return { lb, model, milliseconds: performance.now() - started };
  } finally {
    progress.end();
  }
}

/** Of a process: what the model holds in linear memory, and what is resident of all. */
export function memoryOf(lb: Lowbit): { readonly model: number; readonly resident: number } {
  return { model: lb.memory.used, resident: process.memoryUsage.rss() };
}

export function noteMemory(lb: Lowbit): string {
  const { model, resident } = memoryOf(lb);
  return `${bytesText(model)} of weights, context and scratch, ${bytesText(resident)} resident`;
}
