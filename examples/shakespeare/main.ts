/** Generates text with a small language model of 1-bit or ternary weights. `--help` lists the options. */
import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { type Activation, init, type Lowbit, UnsupportedRuntimeError } from "lowbit";
import { Model } from "./model.ts";
import { FileError, parseSafetensors, type Safetensors } from "./safetensors.ts";
import { sampleToken, seededRandom } from "./sample.ts";
import { verify } from "./verify.ts";
import { loadWeights } from "./weights.ts";

const HELP = `Usage: npm run demo -- [options]

Generates text with a small language model whose weights have 1 or 2 bits.

  --model M        binary, ternary, or a path to a .safetensors file of either kind (default ternary)
  --prompt TEXT    the text to continue (default "ROMEO:")
  --tokens N       how many bytes to generate (default 200)
  --temperature T  0 always takes the likeliest byte, 1 samples as the model says (default 0.8)
  --seed S         0 to 4294967295: the same seed gives the same text (default: random, and printed)
  --threads N      a number, or auto (default 1)
  --variant V      auto, relaxed or simd: which WebAssembly binary (default auto)
  --activation A   int8, lut8 or f32: how linear layers treat their input (default int8, as the models were trained)
  --verify         instead of generating, compare logits with X.reference.safetensors beside X.safetensors
  --help           show this text
`;

const ACTIVATIONS = ["int8", "lut8", "f32"] as const;
const VARIANTS = ["auto", "relaxed", "simd"] as const;

/** Verification fails above these. */
const MAX_NMSE = 1e-4;
const MAX_DECODE_DIFFERENCE = 1e-3;

/** The command line is wrong: exit code 2. */
class UsageError extends Error {}

interface Options {
  readonly model: string;
  readonly prompt: Uint8Array;
  readonly tokens: number;
  readonly temperature: number;
  readonly seed: number;
  readonly threads: number | "auto";
  readonly variant: (typeof VARIANTS)[number];
  readonly activation: Activation;
  readonly verify: boolean;
  readonly help: boolean;
}

/** Tokens and milliseconds of one of the two phases. */
interface Phase {
  tokens: number;
  time: number;
}

async function main(): Promise<number> {
  const options = readOptions(process.argv.slice(2));
  if (options.help) {
    process.stdout.write(HELP);
    return 0;
  }

  const path = modelPath(options.model);
  const start = performance.now();
  const lb = await init({ variant: options.variant, threads: options.threads });
  const initialised = performance.now();
  const file = await readSafetensors(path);
  const model = new Model(loadWeights(lb, file, options.activation));
  const loaded = performance.now();
  const times = { init: initialised - start, weights: loaded - initialised };

  if (options.verify) {
    const reference = await readSafetensors(path.replace(/(\.safetensors)?$/, ".reference.safetensors"));
    const passed = report(model, reference);
    describe(lb, model, options.activation, times);
    return passed ? 0 : 1;
  }
  process.stderr.write(`seed         ${options.seed}\n\n`);
  const { prefill, decode } = await generate(model, options);
  process.stderr.write("\n");
  describe(lb, model, options.activation, times);
  process.stderr.write(`prefill      ${rate(prefill)}\ndecode       ${rate(decode)}\n`);
  return 0;
}

/** Streams the prompt and its continuation to standard output. */
async function generate(model: Model, options: Options): Promise<{ prefill: Phase; decode: Phase }> {
  const { maxPosition } = model.weights.config;
  const random = seededRandom(options.seed);
  const prefill: Phase = { tokens: 0, time: 0 };
  const decode: Phase = { tokens: 0, time: 0 };
  // A character may be several tokens: the decoder holds its bytes back until it is whole.
  const decoder = new TextDecoder();
  await print(decoder.decode(options.prompt, { stream: true }));

  let window = Array.from(options.prompt.subarray(-maxPosition));
  if (window.length < options.prompt.length) {
    process.stderr.write(`note: the context holds the last ${maxPosition} of the prompt's bytes\n`);
  }
  let start = performance.now();
  let logits = model.prefill(window);
  prefill.time += performance.now() - start;
  prefill.tokens += window.length;

  for (let i = 0; i < options.tokens; i++) {
    const token = sampleToken(logits, options.temperature, random);
    await print(decoder.decode(Uint8Array.of(token), { stream: true }));
    if (i + 1 === options.tokens) break;
    window.push(token);
    start = performance.now();
    if (window.length <= maxPosition) {
      logits = model.decode(token);
      decode.time += performance.now() - start;
      decode.tokens++;
    } else {
      // The context is full. Keys in the cache are rotated to their old positions, so the half that stays is run anew.
      window = window.slice(-Math.max(1, Math.floor(maxPosition / 2)));
      model.reset();
      logits = model.prefill(window);
      prefill.time += performance.now() - start;
      prefill.tokens += window.length;
    }
  }
  await print(`${decoder.decode()}\n`);
  return { prefill, decode };
}

/** Writes, and waits when the reader is slow. */
function print(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(text, (error) => (error ? reject(error) : resolve()));
  });
}

/** Prints how the model compares with its reference; true if it is close enough. */
function report(model: Model, reference: Safetensors): boolean {
  const result = verify(model, reference);
  process.stdout.write(
    [
      `positions ${result.positions}`,
      `nmse ${result.nmse.toExponential(3)}`,
      `loss ${result.loss.toFixed(6)}`,
      `reference loss ${result.referenceLoss.toFixed(6)}`,
      `decode difference ${result.decodeDifference.toExponential(3)} (${result.decodePositions} positions)`,
      "",
    ].join("\n"),
  );
  // Written so that a NaN fails.
  const closeToReference = result.nmse <= MAX_NMSE;
  const decodeAgrees = result.decodeDifference <= MAX_DECODE_DIFFERENCE;
  if (!closeToReference) process.stderr.write(`failed: nmse is above ${MAX_NMSE}\n`);
  if (!decodeAgrees) {
    process.stderr.write(
      `failed: decode and prefill differ by more than ${MAX_DECODE_DIFFERENCE} of the largest logit\n`,
    );
  }
  return closeToReference && decodeAgrees;
}

/** Prints to standard error what ran and what it took. */
function describe(lb: Lowbit, model: Model, activation: Activation, times: { init: number; weights: number }): void {
  const { config, matrices } = model.weights;
  const { variant, relaxedReason, dot, threads, threadsReason } = lb.features;
  const weights = matrices.reduce((sum, matrix) => sum + matrix.rows * matrix.cols, 0);
  const bits = matrices.reduce((sum, matrix) => sum + matrix.bitsPerWeight * matrix.rows * matrix.cols, 0);
  const kernels = new Set(matrices.flatMap((matrix) => [matrix.kernel, matrix.gemmKernel]));
  const because = (reason: string | undefined): string => (reason === undefined ? "" : ` (${reason})`);
  const lines = [
    `model        ${config.format}, ${config.layers} layers of width ${config.hiddenSize}, ` +
      `context ${config.maxPosition}`,
    `linear       ${weights} weights, ${(bits / weights).toFixed(3)} bits per weight, activation ${activation}`,
    `kernel       ${[...kernels].join(", ")}`,
    `features     variant ${variant}${because(relaxedReason)}, dot ${dot}, threads ${threads}${because(threadsReason)}`,
    `memory       lowbit ${megabytes(lb.memory.used)}, peak ${megabytes(lb.memory.peak)}; ` +
      `process ${megabytes(process.memoryUsage.rss())} resident`,
    `load         ${times.init.toFixed(0)} ms lowbit, ${times.weights.toFixed(0)} ms weights`,
  ];
  process.stderr.write(`${lines.join("\n")}\n`);
}

function rate({ tokens, time }: Phase): string {
  return tokens === 0
    ? "no tokens"
    : `${((1000 * tokens) / time).toFixed(0)} tokens/s (${tokens} in ${time.toFixed(0)} ms)`;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

function modelPath(model: string): string {
  if (model !== "binary" && model !== "ternary") return model;
  return fileURLToPath(new URL(`./models/${model}.safetensors`, import.meta.url));
}

async function readSafetensors(path: string): Promise<Safetensors> {
  const bytes = await readFile(path).catch((error: Error) => {
    throw new FileError(`cannot read ${path}: ${error.message}`);
  });
  return parseSafetensors(bytes, basename(path));
}

function readOptions(args: string[]): Options {
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
  if (values.model === "") throw wrong("model", "binary, ternary or a path", values.model);
  return {
    model: values.model,
    prompt: new TextEncoder().encode(values.prompt),
    tokens,
    temperature,
    seed,
    threads,
    variant: choice("variant", values.variant, VARIANTS),
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

// Whoever reads the text may stop early (npm run demo | head): that is no failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});

try {
  process.exitCode = await main();
} catch (error) {
  // A file can be well formed and still ask for too much memory or overflow on the way: those are RangeErrors.
  const expected = [UsageError, FileError, UnsupportedRuntimeError, RangeError].some((kind) => error instanceof kind);
  // Anything else is a bug, and its stack is wanted.
  if (!expected || !(error instanceof Error)) throw error;
  process.stderr.write(`${error.message.replaceAll(/\s+/g, " ")}\n`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
