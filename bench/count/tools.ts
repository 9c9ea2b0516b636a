// What counting needs beside the project: qemu and gcc from the system, node for both architectures from npm packages.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** Counts depend on V8, so its version is fixed. */
export const NODE_VERSION = "24.21.0";

/** A processor that qemu imitates. */
export interface Target {
  readonly cpu: "x86-64" | "cortex-a72" | "cortex-a76";
  readonly arch: "x64" | "arm64";
}

/** x86-64: AVX2, no VNNI. The Cortex-A72 (Raspberry Pi 4) has no dot product instruction, the A76 (Raspberry Pi 5) has. */
export const TARGETS: readonly Target[] = [
  { cpu: "x86-64", arch: "x64" },
  { cpu: "cortex-a72", arch: "arm64" },
  { cpu: "cortex-a76", arch: "arm64" },
];

const QEMU = {
  x64: { command: "qemu-x86_64", root: "/usr/x86_64-linux-gnu", libraries: "amd64" },
  arm64: { command: "qemu-aarch64", root: "/usr/aarch64-linux-gnu", libraries: "arm64" },
} as const;

export const root = fileURLToPath(new URL("../..", import.meta.url));
/** Not in git; kept from run to run. */
export const work = join(root, "build", "count");

/** Why something cannot be counted here. */
export class Missing extends Error {}

const missing = (what: string, how: string): Missing => new Missing(`${what} is missing (${how})`);

function has(command: string): boolean {
  return spawnSync(command, ["--version"]).error === undefined;
}

/** The compiled plugin. */
export function compilePlugin(folder: string): string {
  if (!has("gcc")) throw missing("gcc", "apt-get install gcc libc6-dev");
  const file = join(folder, "plugin.so");
  const source = fileURLToPath(new URL("plugin.c", import.meta.url));
  const { status, stderr } = spawnSync("gcc", ["-O2", "-shared", "-fPIC", "-o", file, source], { encoding: "utf8" });
  if (status !== 0) throw new Error(`gcc plugin.c: ${stderr}`);
  return file;
}

/** The compiled guest.ts. */
export function compileGuest(folder: string): string {
  const js = join(folder, "js");
  const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
  const options = { cwd: root, encoding: "utf8" } as const;
  const { status, stdout } = spawnSync(process.execPath, [tsc, "-p", "bench/count", "--outDir", js], options);
  if (status !== 0) throw new Error(`bench/count/guest.ts: ${stdout}`);
  return join(js, "bench", "count", "guest.js");
}

/** The command and first arguments that run node of a target under qemu. `download`: whether its package may be fetched. */
export function emulator({ cpu, arch }: Target, plug: string, download: boolean): readonly string[] {
  const { command, root: libraries, libraries: name } = QEMU[arch];
  if (!has(command)) throw missing(command, "apt-get install qemu-user");
  const { stdout } = spawnSync(command, ["--help"], { encoding: "utf8" });
  if (!stdout.includes("-plugin")) throw new Missing(`${command} was built without plugins`);
  const foreign = process.arch !== arch;
  if (foreign && !existsSync(libraries)) {
    throw missing(libraries, `apt-get install libc6-${name}-cross libstdc++6-${name}-cross libatomic1-${name}-cross`);
  }
  const model = cpu === "x86-64" ? "max" : cpu;
  return [command, ...(foreign ? ["-L", libraries] : []), "-cpu", model, "-plugin", plug, node(arch, download)];
}

function node(arch: Target["arch"], download: boolean): string {
  const name = `node-linux-${arch}@${NODE_VERSION}`;
  const folder = join(work, name);
  const file = join(folder, "bin", "node");
  if (existsSync(file)) return file;
  if (!download) throw missing(name, "npm run count fetches it");
  mkdirSync(work, { recursive: true });
  const unpacked = mkdtempSync(join(work, `${name}-`));
  const pack = spawnSync("npm", ["pack", name], { cwd: unpacked, encoding: "utf8" });
  const archive = readdirSync(unpacked).find((entry) => entry.endsWith(".tgz"));
  if (pack.status !== 0 || !archive) {
    rmSync(unpacked, { recursive: true });
    throw missing(name, `npm pack: ${pack.stderr.trim().split("\n")[0]}`);
  }
  const tar = spawnSync("tar", ["xzf", archive, "--strip-components=1"], { cwd: unpacked, encoding: "utf8" });
  if (tar.status !== 0) throw new Error(`tar: ${tar.stderr}`);
  rmSync(join(unpacked, archive));
  try {
    renameSync(unpacked, folder);
  } catch (error) {
    // Another run was faster.
    if (!existsSync(file)) throw error;
    rmSync(unpacked, { recursive: true });
  }
  return file;
}
