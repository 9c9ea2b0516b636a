import { writeFileSync } from "node:fs";
import { arch, cpus, platform, release, totalmem } from "node:os";
import type { Case } from "./cases.ts";
import type { Shape } from "./shapes.ts";

/** One line of the table and of the JSON. */
export interface Row {
  readonly kernel: string;
  readonly format: string | null;
  readonly variant: string;
  readonly activation: string | null;
  readonly rows: number;
  readonly cols: number;
  readonly n: number;
  readonly threads: number;
  readonly ms: number;
  readonly gws: number;
  readonly gbs: number;
  readonly readShare: number | null;
  readonly timesScalar: number | null;
  readonly nmse: number | null;
}

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly os: string;
  readonly arch: string;
  readonly memory: number;
}

export interface Runtime {
  readonly name: string;
  readonly version: string;
  readonly engine: string;
  readonly flags: readonly string[];
}

export function describeMachine(): Machine {
  const cores = cpus();
  return {
    cpu: cores[0]?.model.trim() ?? "unknown",
    cores: cores.length,
    os: `${platform()} ${release()}`,
    arch: arch(),
    memory: totalmem(),
  };
}

export function describeRuntime(): Runtime {
  const { versions } = process;
  const name = ["bun", "deno"].find((other) => versions[other] !== undefined) ?? "node";
  const engine = name === "bun" ? `jsc ${versions.webkit}` : `v8 ${versions.v8}`;
  const nodeOptions = (process.env.NODE_OPTIONS ?? "").split(" ").filter((flag) => flag !== "");
  return {
    name,
    version: versions[name] ?? "unknown",
    engine,
    flags: [...withoutLoaders(process.execArgv), ...nodeOptions],
  };
}

/** The flags that load TypeScript change no figure, and name folders of this machine. */
function withoutLoaders(flags: readonly string[]): string[] {
  const loader = /^--(import|require|loader)$/;
  return flags.filter((flag, i) => !/^--(import|require|loader)\b/.test(flag) && !loader.test(flags[i - 1] ?? ""));
}

/** The rows of one group: all cases of a shape and a number of tokens, `times` in milliseconds for one `run`. */
export function toRows(cases: readonly Case[], times: readonly number[], { rows, cols }: Shape, n: number): Row[] {
  const timed = cases.map((one, i) => ({ one, ms: (times[i] as number) * one.scale(n) }));
  const gbs = ({ one, ms }: (typeof timed)[number]): number => one.bytes / ms / 1e6;
  return timed.map((line) => {
    const { one, ms } = line;
    const fits = (other: Case): boolean => other.format === null || one.format === null || other.format === one.format;
    const read = timed.find((other) => other.one.role === "read" && other.one.format === one.format);
    const scalar = timed.filter((other) => other.one.role === "scalar" && fits(other.one)).map((other) => other.ms);
    return {
      kernel: one.kernel,
      format: one.format,
      variant: one.variant,
      activation: one.activation,
      rows,
      cols,
      n,
      threads: one.threads,
      ms: round(ms),
      gws: round((rows * cols * n) / ms / 1e6),
      gbs: round(gbs(line)),
      readShare: read ? round(gbs(line) / gbs(read)) : null,
      timesScalar: one.role === "read" ? null : round(Math.min(...scalar) / ms),
      nmse: one.nmse === null ? null : round(one.nmse),
    };
  });
}

/** Five digits: more than any of the figures has. */
const round = (value: number): number => Number(value.toPrecision(5));

/** Three digits, without an exponent. */
function digits(value: number): string {
  return value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : value >= 1 ? 2 : 3);
}

const optional = (value: number | null, format: (value: number) => string): string =>
  value === null ? "-" : format(value);

/** Aligned text. With the yardstick of a native run (Gw/s) there is one column more. */
export function formatTable(rows: readonly Row[], native: number | undefined): string {
  const head = ["kernel", "format", "activ.", "variant", "thr", "n", "ms", "Gw/s", "GB/s", "read", "x scalar", "NMSE"];
  const lines = rows.map((row) => [
    row.kernel,
    row.format ?? "-",
    row.activation ?? "-",
    row.variant,
    String(row.threads),
    String(row.n),
    row.ms < 1 ? row.ms.toFixed(4) : digits(row.ms),
    digits(row.gws),
    digits(row.gbs),
    optional(row.readShare, (share) => `${(100 * share).toFixed(0)}%`),
    optional(row.timesScalar, digits),
    optional(row.nmse, (nmse) => nmse.toExponential(1)),
    ...(native === undefined ? [] : [row.kernel === "wasm_read" ? "-" : digits(row.gws / native)]),
  ]);
  const all = [native === undefined ? head : [...head, "x native"], ...lines];
  const widths = head.concat("x native").map((_, column) => Math.max(...all.map((line) => line[column]?.length ?? 0)));
  const textColumns = 4;
  return all
    .map((line) =>
      line
        .map((cell, column) => {
          const width = widths[column] as number;
          return column < textColumns ? cell.padEnd(width) : cell.padStart(width);
        })
        .join("  "),
    )
    .join("\n");
}

export function writeJson(file: string, machine: Machine, runtime: Runtime, rows: readonly Row[]): void {
  const list = rows.map((row) => `    ${JSON.stringify(row)}`).join(",\n");
  const head = `"machine": ${JSON.stringify(machine)},\n  "runtime": ${JSON.stringify(runtime)}`;
  writeFileSync(file, `{\n  ${head},\n  "rows": [\n${list}\n  ]\n}\n`);
}
