/** Doubles the size of a picture by a network of few bits. `--help` lists the options. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { init, type Lowbit } from "lowbit";
import { load } from "lowbit/conv";
import { parseSafetensors } from "lowbit/files";
import { type Bits, SuperResolution } from "./network.ts";
import { PictureError, readPicture, writePicture } from "./picture.ts";
import { suffixOf, verify } from "./verify.ts";

const HELP = `npm run upscale -- PICTURE -o RESULT [options]
npm run upscale -- --model FOLDER --verify [options]

Doubles the width and height of a PNG or JPEG picture by a network whose weights have 2 bits (ternary), 4 or 8, on
integers from its first convolution to its last.

  -o, --output F   where to write: .png, .jpg or .jpeg
  --bits B         2 (default), 4, 8, or fp: float weights, quantised to 8 bits (with --model only)
  --model FOLDER   sr-w2, sr-w4, sr-w8 or sr-fp.safetensors in it instead of the networks that come along
  --verify         compare with sr-reference.safetensors of that folder: exit code 1 beyond an NMSE of 1e-4 or 0.02 dB
  --tile N         pixels, on a side, that are computed at a time (default 320): less takes less memory, with the same result
  --threads N      a number, or auto (default)
  --variant V      auto, relaxed or simd: which WebAssembly binary (default auto)
  --help           show this text
`;

/** The command line is wrong: exit code 2. */
class UsageError extends Error {}

async function main(): Promise<number> {
  const options = readOptions(process.argv.slice(2));
  if (options === undefined) {
    process.stdout.write(HELP);
    return 0;
  }
  const { bits, model, tile, threads, variant } = options;
  const lb = await init({ threads, variant });
  await load(lb);
  const folder = model ?? fileURLToPath(new URL("models", import.meta.url));
  const name = `sr-${suffixOf(bits)}.safetensors`;
  const network = new SuperResolution(lb, parseSafetensors(await readFile(join(folder, name)), name), bits);
  const { depth, width } = network;
  console.log(`network      ${name}: ${depth} blocks of ${width} channels`);
  const { features } = lb;
  console.log(`runs on      ${features.variant} (dot ${features.dot}), threads ${features.threads}`);
  try {
    return options.verify ? report(await verify(folder, network, tile)) : await enlarge(lb, network, options);
  } finally {
    network.dispose();
    lb.dispose();
  }
}

function report({ passed, nmse, psnr, reference }: Awaited<ReturnType<typeof verify>>): number {
  console.log(`nmse         ${nmse.toExponential(3)}`);
  console.log(`psnr         ${psnr.toFixed(3)} dB, of the reference ${reference.toFixed(3)} dB`);
  console.log(passed ? "passed" : "failed: expected an NMSE of at most 1e-4 and at most 0.02 dB");
  return passed ? 0 : 1;
}

async function enlarge(lb: Lowbit, network: SuperResolution, { input, output, tile }: Options): Promise<number> {
  const picture = await readPicture(input as string);
  const start = performance.now();
  const result = network.enlarge(picture, {
    ...(tile !== undefined && { tile }),
    onProgress: (done) => {
      if (process.stderr.isTTY) process.stderr.write(done < 1 ? `\r${Math.round(100 * done)} %` : "\r     \r");
    },
  });
  const seconds = (performance.now() - start) / 1000;
  await writePicture(output as string, result);
  const work = (network.workPerPixel * picture.width * picture.height) / seconds / 1e9;
  console.log(`picture      ${picture.width} x ${picture.height} -> ${result.width} x ${result.height}: ${output}`);
  console.log(`time         ${seconds.toFixed(2)} s, ${work.toFixed(1)} GMAC/s`);
  console.log(`memory       ${(lb.memory.peak / 2 ** 20).toFixed(1)} MiB at most`);
  return 0;
}

interface Options {
  readonly bits: Bits;
  readonly model: string | undefined;
  readonly verify: boolean;
  readonly input: string | undefined;
  readonly output: string | undefined;
  readonly tile: number | undefined;
  readonly threads: number | "auto";
  readonly variant: "auto" | "relaxed" | "simd";
}

/** Undefined for --help. */
function readOptions(args: string[]): Options | undefined {
  const { values, positionals } = parse(args);
  if (values.help) return undefined;
  const { model, output, verify = false } = values;
  const given = values.bits ?? "2";
  const bits = (["fp", 8, 4, 2] as const).find((one) => String(one) === given);
  if (bits === undefined) throw new UsageError(`--bits: expected 2, 4, 8 or fp, got ${JSON.stringify(given)}`);
  if (bits === "fp" && model === undefined) throw new UsageError("--bits fp: needs --model");
  const variant = (["auto", "relaxed", "simd"] as const).find((one) => one === (values.variant ?? "auto"));
  if (variant === undefined) throw new UsageError(`--variant: expected auto, relaxed or simd, got ${values.variant}`);
  const tile = values.tile === undefined ? undefined : integer("tile", values.tile, 8, 65536);
  const threads =
    values.threads === undefined || values.threads === "auto" ? "auto" : integer("threads", values.threads, 1, 256);
  if (verify) {
    if (model === undefined) throw new UsageError("--verify: needs --model");
    if (positionals.length > 0) throw new UsageError(`--verify takes no picture, got ${positionals[0]}`);
  } else if (positionals.length !== 1 || output === undefined) {
    throw new UsageError(`expected a picture and -o RESULT, got ${positionals.length} and ${output ?? "none"}`);
  }
  return { bits, model, verify, input: positionals[0], output, tile, threads, variant };
}

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        output: { type: "string", short: "o" },
        bits: { type: "string" },
        model: { type: "string" },
        verify: { type: "boolean" },
        tile: { type: "string" },
        threads: { type: "string" },
        variant: { type: "string" },
        help: { type: "boolean" },
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function integer(name: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new UsageError(`--${name}: expected an integer from ${least} to ${most}, got ${JSON.stringify(text)}`);
  }
  return value;
}

try {
  process.exitCode = await main();
} catch (error) {
  const expected = error instanceof UsageError || error instanceof PictureError;
  const missing = (error as { code?: unknown }).code === "ENOENT";
  if (!expected && !missing) throw error;
  console.error((error as Error).message);
  process.exitCode = 2;
}
