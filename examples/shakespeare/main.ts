/** Generates text with a small language model of 1 to 8-bit weights. `--help` lists the options. */
import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { type Activation, init, type Lowbit, UnsupportedRuntimeError } from "lowbit";
import { FileError, parseSafetensors, type Safetensors } from "lowbit/files";
import { Model } from "./model.ts";
import { formatFor, HELP, type Options, readOptions, UsageError } from "./options.ts";
import type { Format } from "./quantize.ts";
import { sampleToken, seededRandom } from "./sample.ts";
import { joinShards, referencePath, shardPaths } from "./shards.ts";
import { verify } from "./verify.ts";
import { loadWeights, type Quantize, readConfig } from "./weights.ts";

const BUILT_IN: ReadonlyMap<string, string> = new Map([
  ["binary", "binary.safetensors"],
  ["ternary", "ternary.safetensors"],
  ["fairy1", "fairy1.safetensors"],
  ["fairy2", "fairy2.safetensors"],
  ["fp", "fp-00001-of-00002.safetensors"],
]);
/** Verification fails above these. */
const MAX_NMSE = 1e-4;
const MAX_DECODE_DIFFERENCE = 1e-3;

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
  const file = await readModel(path);
  const config = readConfig(file);
  const format = formatFor(config, options);
  const quantize = format && quantizer(format, options);
  const onProgress = format && process.stderr.isTTY ? showProgress : undefined;
  const model = new Model(loadWeights(lb, file, config, { activation: options.activation, quantize, onProgress }));
  const loaded = performance.now();
  const times = { init: initialised - start, weights: loaded - initialised };

  if (options.verify) {
    const passed = report(model, await readSafetensors(referencePath(path)), format);
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

function quantizer(
  { quantize, groupSize, searches }: Format,
  { group = groupSize, search = "mse" }: Options,
): Quantize {
  return (lb, w, options) =>
    quantize(lb, w, { ...options, ...(searches && { search }), ...(group !== undefined && { groupSize: group }) });
}

/** One line on a terminal, which goes away when all is done. */
function showProgress(done: number, of: number): void {
  process.stderr.write(done < of ? `quantising   ${done} of ${of} linear layers\r` : "\x1b[K");
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

/**
 * Prints how the model compares with its reference; true if it is close enough.
 * @param format What the model's weights were quantised to, if they were: then the reference is what they were before.
 */
function report(model: Model, reference: Safetensors, format: Format | undefined): boolean {
  const result = verify(model, reference);
  const difference = result.loss - result.referenceLoss;
  const { bitsPerWeight, bytes } = linearSize(model);
  process.stdout.write(
    [
      `positions ${result.positions}`,
      `nmse ${result.nmse.toExponential(3)}`,
      `loss ${result.loss.toFixed(6)}`,
      `reference loss ${result.referenceLoss.toFixed(6)}`,
      `loss difference ${difference.toFixed(6)} nats per byte`,
      `bits per weight ${bitsPerWeight.toFixed(3)}`,
      `linear layers ${megabytes(bytes)}`,
      `decode difference ${result.decodeDifference.toExponential(3)} (${result.decodePositions} positions)`,
      "",
    ].join("\n"),
  );
  // Written so that a NaN fails.
  const closeToReference = format ? Math.abs(difference) <= format.maxLossDifference : result.nmse <= MAX_NMSE;
  const decodeAgrees = result.decodeDifference <= MAX_DECODE_DIFFERENCE;
  if (!closeToReference) {
    process.stderr.write(
      format
        ? `failed: the loss is more than ${format.maxLossDifference} from the reference's\n`
        : `failed: nmse is above ${MAX_NMSE}\n`,
    );
  }
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
  const { weights, bitsPerWeight } = linearSize(model);
  const kernels = new Set(matrices.flatMap((matrix) => [matrix.kernel, matrix.gemmKernel]));
  const because = (reason: string | undefined): string => (reason === undefined ? "" : ` (${reason})`);
  const lines = [
    `model        ${config.format}, ${config.layers} layers of width ${config.hiddenSize}, ` +
      `context ${config.maxPosition}`,
    `linear       ${weights} weights, ${bitsPerWeight.toFixed(3)} bits per weight, activation ${activation}`,
    `kernel       ${[...kernels].join(", ")}`,
    `features     variant ${variant}${because(relaxedReason)}, dot ${dot}, threads ${threads}${because(threadsReason)}`,
    `memory       lowbit ${megabytes(lb.memory.used)}, peak ${megabytes(lb.memory.peak)}; ` +
      `process ${megabytes(process.memoryUsage.rss())} resident`,
    `load         ${times.init.toFixed(0)} ms lowbit, ${times.weights.toFixed(0)} ms weights`,
  ];
  process.stderr.write(`${lines.join("\n")}\n`);
}

/** All linear layers together, scales and padding included. */
function linearSize({ weights: { matrices } }: Model): { weights: number; bytes: number; bitsPerWeight: number } {
  const weights = matrices.reduce((sum, matrix) => sum + matrix.rows * matrix.cols, 0);
  const bytes = matrices.reduce((sum, matrix) => sum + matrix.byteLength, 0);
  return { weights, bytes, bitsPerWeight: (8 * bytes) / weights };
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
  const file = BUILT_IN.get(model);
  return file === undefined ? model : fileURLToPath(new URL(`./models/${file}`, import.meta.url));
}

/** The model at `path` with all its shards, if that is the path of one. */
async function readModel(path: string): Promise<Safetensors> {
  const paths = shardPaths(path);
  const shards: Safetensors[] = [];
  for (const [i, shard] of paths.entries()) {
    shards.push(await readSafetensors(shard, paths.length > 1 ? `shard ${i + 1} of ${paths.length}, ` : ""));
  }
  return joinShards(shards);
}

/** @param what What error messages say before the path. */
async function readSafetensors(path: string, what = ""): Promise<Safetensors> {
  const bytes = await readFile(path).catch((error: Error) => {
    throw new FileError(`cannot read ${what}${path}: ${error.message}`);
  });
  return parseSafetensors(bytes, basename(path));
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
