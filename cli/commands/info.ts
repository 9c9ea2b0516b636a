// lowbit info: what there is here, and which kernel each format gets.
import { availableParallelism, cpus } from "node:os";
import { candidates, kernels as rows, suitable } from "#lowbit/kernels/registry";
import type { Activation, Kernel, Machine, Variant } from "#lowbit/kernels/types";
import type { Options } from "../arguments.ts";
import { define } from "../command.ts";
import { UsageError } from "../errors.ts";
import { ENGINE_OPTIONS, engineOptions } from "../model.ts";
import { bytesText, printJson, printLine, table } from "../terminal.ts";
import { versionOf } from "../version.ts";

const OPTIONS = {
  ...ENGINE_OPTIONS,
  json: { type: "flag", help: "as an object" },
} as const satisfies Options;

interface Choice {
  readonly format: string;
  readonly activation: Activation;
  readonly op: "gemv" | "gemm";
  readonly kernel: string;
  readonly why: string;
}

export const command = define({
  usage: "[options]",
  about: `
What this machine and this runtime offer, and the kernel that each format gets for products with one vector (gemv) and with
many (gemm), with the reason. All kernels of a job give the same bits.`,
  options: OPTIONS,
  async run(given, rest) {
    if (rest.length > 0) throw new UsageError(`info: expected no argument, got ${JSON.stringify(rest[0])}`);
    const { init } = await import("../library.ts");
    const lb = await init(engineOptions("info", given));
    const { variant, relaxed, relaxedReason, threads, threadsReason, dot, popcnt } = lb.features;
    const features = { variant, relaxed, relaxedReason, threads, threadsReason, dot, popcnt };
    const kernels = choices(variant, { dot, popcnt });
    const machine = {
      processor: cpus()[0]?.model.trim() || "unknown",
      processors: availableParallelism(),
      architecture: process.arch,
      platform: process.platform,
    };
    const { capacity } = lb.memory;
    lb.dispose();
    const versions = { lowbit: versionOf(), ...runtimes() };
    if (given.json) {
      await printJson({ versions, machine, features, memory: { capacity }, kernels });
      return 0;
    }
    const why = (reason: string | undefined): string => (reason === undefined ? "" : ` (${reason})`);
    const { processor, processors, platform, architecture } = machine;
    await printLine(
      table([
        [
          "versions",
          Object.entries(versions)
            .map(([name, version]) => `${name} ${version}`)
            .join(", "),
        ],
        ["machine", `${processor}, ${processors} processors, ${platform} ${architecture}`],
        ["binary", `${variant}${why(relaxedReason)}`],
        ["threads", `${threads}${why(threadsReason)}`],
        ["int8 products", `${dot}: ${DOTS[dot]}`],
        ["counting bits", popcnt === "native" ? "by an instruction" : "by an adder of bits"],
        ["memory", `${bytesText(capacity)} now`],
      ]),
    );
    await printLine();
    const lines = kernels.map(({ format, activation, op, kernel, why: reason }) => [
      format,
      activation,
      op,
      kernel,
      reason,
    ]);
    await printLine(table([["format", "activation", "op", "kernel", "why"], ...lines]));
    return 0;
  },
});

const DOTS: Readonly<Record<Machine["dot"], string>> = {
  i16: "summed in 16-bit lanes",
  i32: "summed in 32-bit lanes by one instruction, codes within 7 bits",
  u8: "summed in 32-bit lanes by one instruction that takes unsigned bytes (AVX-VNNI)",
  s8: "summed in 32-bit lanes by one instruction that takes signed bytes (ARM)",
  mul: "16-bit products that are added",
};

function runtimes(): Readonly<Record<string, string>> {
  const { node = "", v8, bun, deno } = process.versions as Readonly<Record<string, string | undefined>>;
  return { ...(deno ? { deno } : bun ? { bun } : { node }), ...(v8 && !bun && { v8 }) };
}

/** For every job that there are kernels for, the one that this machine gets. */
export function choices(variant: Variant, machine: Machine): Choice[] {
  const jobs = new Map(rows.map((row) => [`${row.format} ${row.activation} ${row.op}`, row]));
  return [...jobs.values()].flatMap(({ format, activation, op }) => {
    const possible = candidates(op, format, activation, variant);
    const chosen = suitable(possible, machine);
    if (!chosen) return [];
    return [{ format, activation, op, kernel: chosen.name, why: reasonOf(chosen, possible, machine, variant) }];
  });
}

function reasonOf(chosen: Kernel, possible: readonly Kernel[], { dot, popcnt }: Machine, variant: Variant): string {
  const from =
    chosen.fromTokens === undefined
      ? ""
      : chosen.fromTokens === Number.POSITIVE_INFINITY
        ? "; only when asked for: one token at a time is faster"
        : `; from ${chosen.fromTokens} tokens on`;
  if (chosen.dot !== undefined) return `suits int8 products ${dot}${from}`;
  if (chosen.popcnt !== undefined) return `suits bits counted ${popcnt}${from}`;
  if (possible.length === 1) return `the only one${variant === "simd" ? " of simd128" : ""}${from}`;
  if (chosen.needs === "relaxed") return `relaxed SIMD${from}`;
  return `the first of ${possible.length}, of which no other suits this machine better${from}`;
}
