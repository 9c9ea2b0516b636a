/** The command line. */
import { parseArgs } from "node:util";
import type { Activation } from "lowbit";
import { FORMATS, type Format, GROUP_STEP, SEARCHES, type Search } from "./quantize.ts";
import type { Config } from "./weights.ts";

export const HELP = `Usage: npm run demo -- [options]

Generates text with a small language model whose weights have 1 to 8 bits.

  --model M        binary, ternary, fairy1, fairy2, fp, or a path to a .safetensors file of one of these kinds, or to a
                   shard of several files (default ternary)
  --format F       fp only: what its bfloat16 weights are quantised to while they are loaded:
                   uniform2, uniform3, uniform4, uniform5, uniform6, uniform8, bcq1 to bcq8, codebook2, codebook3,
                   codebook4, nf4, fp4, mxfp4, nvfp4, lift2, lift2.4, lift3, e8p, e8p3, e8p4, glvq, pvq, fairy2i,
                   binary or ternary
  --group N        columns that share a scale, a multiple of ${GROUP_STEP} (default 64, bcq 128; not for mxfp4, nvfp4,
                   codebooks, lift, e8p, glvq, pvq and fairy2i, which have groups of their own or none)
  --search S       minmax or mse: how uniform formats find scales (default mse)
  --prompt TEXT    the text to continue (default "ROMEO:")
  --tokens N       how many bytes to generate (default 200)
  --temperature T  0 always takes the likeliest byte, 1 samples as the model says (default 0.8)
  --seed S         0 to 4294967295: the same seed gives the same text (default: random, and printed)
  --threads N      a number, or auto (default 1)
  --variant V      auto, relaxed or simd: which WebAssembly binary (default auto)
  --activation A   int8, lut8 or f32: how linear layers treat their input (default int8, as all models but fp were
                   trained; lut8: binary, ternary, fairy, lift and bcq only)
  --verify         instead of generating, compare logits with X.reference.safetensors beside X.safetensors
  --help           show this text
`;

const ACTIVATIONS = ["int8", "lut8", "f32"] as const;
const VARIANTS = ["auto", "relaxed", "simd"] as const;

/** The command line is wrong: exit code 2. */
export class UsageError extends Error {}

export interface Options {
  readonly model: string;
  readonly prompt: Uint8Array;
  readonly tokens: number;
  readonly temperature: number;
  readonly seed: number;
  readonly threads: number | "auto";
  readonly variant: (typeof VARIANTS)[number];
  readonly format: string | undefined;
  readonly group: number | undefined;
  readonly search: Search | undefined;
  readonly activation: Activation;
  readonly verify: boolean;
  readonly help: boolean;
}

/** @throws {UsageError} If an option is not known or has a wrong value. */
export function readOptions(args: string[]): Options {
  const values = parseOptions(args);
  const tokens = number("tokens", values.tokens);
  if (!Number.isSafeInteger(tokens) || tokens < 0) throw wrong("tokens", "a non-negative integer", values.tokens);
  const temperature = number("temperature", values.temperature);
  if (temperature < 0) throw wrong("temperature", "a non-negative number", values.temperature);
  const seed = values.seed === undefined ? randomSeed() : number("seed", values.seed);
  if (!Number.isInteger(seed) || seed < 0 || seed >= 2 ** 32) {
    throw wrong("seed", "an integer from 0 to 4294967295", values.seed);
  }
  const threads = values.threads === "auto" ? "auto" : number("threads", values.threads);
  if (threads !== "auto" && (!Number.isInteger(threads) || threads < 1 || threads > 256)) {
    throw wrong("threads", "an integer from 1 to 256, or auto", values.threads);
  }
  if (values.prompt === "") throw wrong("prompt", "at least one character", values.prompt);
  if (values.model === "") throw wrong("model", "binary, ternary, fairy1, fairy2, fp or a path", values.model);
  const group = values.group === undefined ? undefined : number("group", values.group);
  if (group !== undefined && (!Number.isSafeInteger(group) || group < 1 || group % GROUP_STEP !== 0)) {
    throw wrong("group", `a multiple of ${GROUP_STEP}`, values.group);
  }
  return {
    model: values.model,
    prompt: new TextEncoder().encode(values.prompt),
    tokens,
    temperature,
    seed,
    threads,
    variant: choice("variant", values.variant, VARIANTS),
    format: values.format === undefined ? undefined : choice("format", values.format, [...FORMATS.keys()]),
    group,
    search: values.search === undefined ? undefined : choice("search", values.search, SEARCHES),
    activation: choice("activation", values.activation, ACTIVATIONS),
    verify: values.verify,
    help: values.help,
  };
}

function parseOptions(args: string[]) {
  try {
    return parseArgs({
      args,
      options: {
        model: { type: "string", default: "ternary" },
        prompt: { type: "string", default: "ROMEO:" },
        tokens: { type: "string", default: "200" },
        temperature: { type: "string", default: "0.8" },
        seed: { type: "string" },
        threads: { type: "string", default: "1" },
        variant: { type: "string", default: "auto" },
        activation: { type: "string", default: "int8" },
        format: { type: "string" },
        group: { type: "string" },
        search: { type: "string" },
        verify: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function number(option: string, text: string): number {
  // Number("") is 0, and Number accepts 0x10 and Infinity: none of them is what someone meant to type here.
  if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) || !Number.isFinite(Number(text))) {
    throw wrong(option, "a number", text);
  }
  return Number(text);
}

function choice<T extends string>(option: string, text: string, choices: readonly T[]): T {
  const found = choices.find((value) => value === text);
  if (found === undefined) throw wrong(option, choices.join(", "), text);
  return found;
}

function wrong(option: string, expected: string, got: string | undefined): UsageError {
  return new UsageError(`--${option}: expected ${expected}, got ${JSON.stringify(got)}`);
}

function randomSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0] as number;
}

/**
 * What the weights of the model are to be quantised to, if they are floats.
 * @throws {UsageError} If the options do not go with the model, or with each other.
 */
export function formatFor(config: Config, { format: name, group, search, activation }: Options): Format | undefined {
  if (config.format !== "fp") {
    for (const [option, value] of Object.entries({ format: name, group, search })) {
      if (value !== undefined) {
        throw new UsageError(
          `--${option}: expected --model fp, whose weights are floats; this model is ${config.format}`,
        );
      }
    }
    return undefined;
  }
  const names = [...FORMATS.keys()].join(", ");
  if (name === undefined) throw new UsageError(`--format: expected what to quantise the weights to, one of ${names}`);
  const format = FORMATS.get(name);
  if (format === undefined) throw wrong("format", names, name);
  if (group !== undefined && format.groupSize === undefined) {
    throw new UsageError(`--group: expected none with ${name}, which has groups of its own or none, got ${group}`);
  }
  if (search !== undefined && !format.searches) {
    throw new UsageError(`--search: expected a uniform format, got ${name}`);
  }
  if (!format.activations.includes(activation)) {
    throw wrong("activation", `${format.activations.join(" or ")} with ${name}`, activation);
  }
  return format;
}
