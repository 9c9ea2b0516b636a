// The package itself: its types under both module resolutions, its exports, its size.
import { readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { Cell } from "../cell.ts";
import { installPackages, versionOf } from "../install.ts";
import { here, root, work } from "../paths.ts";
import { runWell } from "../process.ts";
import { checkTypes, makeConsumer, type Project } from "../project.ts";

const bin = join(root, "node_modules", ".bin");

function types(name: string, options: object): Cell {
  return {
    name: `types, ${name}`,
    table: "package",
    async run({ project }) {
      const folder = join(work, `types-${name.replace(/\W+/g, "-")}`);
      await makeConsumer(folder, project.tarball);
      writeFileSync(join(folder, "consumer.ts"), readFileSync(join(here, "entries", "consumer.ts")));
      const compilerOptions = { target: "es2022", strict: true, skipLibCheck: false, noEmit: true, ...options };
      writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["consumer.ts"] }));
      await checkTypes(folder);
      return { version: versionOf(join(root, "node_modules", "typescript")), note: "strict, without skipLibCheck" };
    },
  };
}

const publint: Cell = {
  name: "publint",
  table: "package",
  async run({ project }) {
    await runWell(join(bin, "publint"), ["run", project.tarball, "--strict"], { cwd: root });
    return { version: versionOf(join(root, "node_modules", "publint")), note: "no remark" };
  },
};

/** The entries of the package that are modules with types. */
function entriesOf({ folder }: Project): string[] {
  const manifest = readFileSync(join(folder, "node_modules/lowbit/package.json"), "utf8");
  const { exports } = JSON.parse(manifest) as { exports: Record<string, unknown> };
  return Object.keys(exports).filter((key) => typeof exports[key] === "object");
}

const attw: Cell = {
  name: "are the types wrong",
  table: "package",
  async run({ project }) {
    const entries = ["--profile", "esm-only", "--entrypoints", ...entriesOf(project)];
    await runWell(join(bin, "attw"), [project.tarball, ...entries], { cwd: root });
    return { version: versionOf(join(root, "node_modules", "@arethetypeswrong", "cli")), note: "no problem" };
  },
};

const KB = 1000;

/** What may not grow unnoticed: a change that needs more says so by changing these. */
const LIMITS = {
  // Binaries as files and once more as modules (285 KB of it), lowbit/files, lowbit/llm, lowbit/conv and the bundle of the command
  // line (175 KB) are in it.
  tarball: 1350 * KB,
  // Keys and values of 2 to 16 bits took 10 KB of either, gemm of six tokens 4 KB of the relaxed one.
  "simd.wasm, gzip": 56 * KB,
  "relaxed.wasm, gzip": 72 * KB,
  // Of lowbit/conv, which no other entry point loads.
  "conv-simd.wasm, gzip": 9 * KB,
  "conv-relaxed.wasm, gzip": 9 * KB,
  // What threads need, which is loaded only for them, is in it.
  // Options read once, arrays by their memory and two cores behind one face took it from 25; what hands quantising to threads from 31.
  "binary without its kernels, minified, gzip": 33 * KB,
} as const;

const sizes: Cell = {
  name: "size",
  table: "package",
  async run({ project }) {
    const gzip = (bytes: Uint8Array): number => gzipSync(bytes, { level: 9 }).length;
    const wasm = (name: string): number =>
      gzip(readFileSync(join(project.folder, "node_modules/lowbit/dist/wasm", `${name}.wasm`)));
    const modules = join(await installPackages("esbuild", ["esbuild@0.28"]), "node_modules");
    const entry = join(project.folder, "one-format.js");
    const out = join(work, "one-format.js");
    writeFileSync(entry, 'export { binary, init } from "lowbit";\n');
    const options = ["--bundle", "--minify", "--format=esm", "--external:#binary/*", `--outfile=${out}`];
    await runWell(join(modules, ".bin", "esbuild"), [entry, ...options]);
    rmSync(entry);
    const found: Record<keyof typeof LIMITS, number> = {
      tarball: statSync(project.tarball).size,
      "simd.wasm, gzip": wasm("simd"),
      "relaxed.wasm, gzip": wasm("relaxed"),
      "conv-simd.wasm, gzip": wasm("conv-simd"),
      "conv-relaxed.wasm, gzip": wasm("conv-relaxed"),
      "binary without its kernels, minified, gzip": gzip(readFileSync(out)),
    };
    const lines = Object.entries(LIMITS).map(([name, limit]) => {
      const size = found[name as keyof typeof LIMITS];
      const text = `${name} ${(size / KB).toFixed(1)} KB of ${limit / KB}`;
      if (size > limit) throw new Error(`too large: ${text}`);
      return text;
    });
    return { note: lines.join("; ") };
  },
};

export const packageCells: readonly Cell[] = [
  types("nodenext", { module: "nodenext" }),
  types("bundler", { module: "esnext", moduleResolution: "bundler" }),
  publint,
  attw,
  sizes,
];
