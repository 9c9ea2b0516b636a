// Builds dist/: kernels to wasm, wasm to modules that carry it, TypeScript to JavaScript and declarations.
//
// A target is made when the contents of its sources, its tools or its command have changed since, or when what it made is no
// longer there as it was made: contents, not times, so that a checkout of another branch builds what differs and no more.
// It is made in build/next and then renamed into place file by file: a reader never meets a file that is missing or half
// written. Builds at the same time wait for each other.
//
//   tsx scripts/build.ts            what is stale
//   tsx scripts/build.ts --force    everything

import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, posix } from "node:path";
import { fileURLToPath } from "node:url";
import { VERSION_SECTION } from "../src/lib/version.ts";
import { holdLock } from "./lock.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const require = createRequire(import.meta.url);
const at = (...parts: string[]): string => join(root, ...parts);

/** Where targets are made before they are renamed: on the file system of dist/. */
const NEXT = "build/next";
/** What was made from what: hashes, a file a target. */
const STAMPS = "build/stamps";
/** Its time is that at which the last whole build began to read sources: bin/lowbit.js compares theirs. */
const CHECKED = "build/checked";

interface Target {
  readonly name: string;
  /** Everything that decides what is made: contents of files by their names, versions, arguments. */
  inputs(): string[];
  /** Makes its files under NEXT, by the paths that they will have, and returns these paths. */
  make(): Promise<string[]>;
}

interface Stamp {
  readonly inputs: string;
  /** Path to hash. */
  readonly outputs: Record<string, string>;
}

function hash(...parts: (string | Uint8Array)[]): string {
  const sha = createHash("sha256");
  for (const part of parts) sha.update(`${part.length}:`).update(part);
  return sha.digest("base64url");
}

/** The files of a folder, with the folder's name in front. */
function filesOf(folder: string): string[] {
  if (!existsSync(at(folder))) return [];
  return readdirSync(at(folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => posix.join(folder, entry.parentPath.slice(at(folder).length).replaceAll("\\", "/"), entry.name))
    .sort();
}

const contentsOf = (paths: readonly string[]): string[] =>
  paths.flatMap((path) => [path, hash(readFileSync(at(path)))]);

function manifestOf(name: string): { path: string; version: string; bin: Record<string, string> } {
  const path = require.resolve(`${name}/package.json`);
  return { path, ...JSON.parse(readFileSync(path, "utf8")) };
}

/** Of a package, also of one that does not export its manifest. */
function versionOf(name: string): string {
  const { version } = JSON.parse(readFileSync(at("node_modules", name, "package.json"), "utf8")) as { version: string };
  return `${name} ${version}`;
}

/** Runs a command of a package; what it prints goes through. */
function run(name: string, bin: string, args: string[]): Promise<void> {
  const manifest = manifestOf(name);
  const script = join(dirname(manifest.path), manifest.bin[bin] as string);
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [script, ...args], { cwd: root, stdio: "inherit" });
    child.on("error", reject);
    child.on("exit", (status) => (status === 0 ? resolve() : reject(new Error(`${bin} ${args.join(" ")}: failed`))));
  });
}

/** A file of AssemblyScript and all that it imports, directly or not. */
function reachable(entry: string): string[] {
  const found = new Set<string>();
  const visit = (path: string): void => {
    if (found.has(path)) return;
    found.add(path);
    for (const [, from] of readFileSync(at(path), "utf8").matchAll(/\bfrom\s+"(\.[^"]+)"/g)) {
      const target = posix.join(posix.dirname(path), from as string);
      visit(existsSync(at(`${target}.ts`)) ? `${target}.ts` : `${target}/index.ts`);
    }
  };
  visit(entry);
  return [...found].sort();
}

/**
 * One binary: 5 to 15 s of one thread. Only its own entry's sources count, so that a relaxed loop compiles relaxed alone.
 * @param name of the files, where several binaries are made with the settings of one target
 */
function binary(entry: string, target: string, name = target): Target {
  const { options, targets } = JSON.parse(readFileSync(at("asconfig.json"), "utf8"));
  const suffixes = [".wasm", ".wat", ...(targets[target].sourceMap ? [".wasm.map"] : [])];
  const outputs = suffixes.map((suffix) => `build/${name}${suffix}`);
  const to = (suffix: string): string => `${NEXT}/build/${name}${suffix}`;
  const args = [`assembly/${entry}.ts`, "--config", "asconfig.json", "--target", target];
  args.push("--outFile", to(".wasm"), "--textFile", to(".wat"));
  return {
    name,
    inputs: () => [
      ...contentsOf(reachable(`assembly/${entry}.ts`)),
      JSON.stringify([options, targets[target], args, manifestOf("assemblyscript").version]),
    ],
    make: async () => {
      await run("assemblyscript", "asc", args);
      return outputs;
    },
  };
}

// Hex, because it costs a tenth more than the bytes once a server compresses it, and three lines to read back: parseInt of
// pieces takes five times as long as this, most of init.
function inlineModule(bytes: Uint8Array): string {
  return `const hex =
  "${Buffer.from(bytes).toString("hex")}";
const bytes = new Uint8Array(hex.length / 2);
const digit = (i) => hex.charCodeAt(i) - (hex.charCodeAt(i) > 57 ? 87 : 48);
for (let i = 0; i < bytes.length; i++) bytes[i] = 16 * digit(2 * i) + digit(2 * i + 1);
export default bytes;
`;
}

/** A module with the version as a custom section at its end, by which init() knows one of another. */
function stamped(bytes: Uint8Array, version: string): Uint8Array {
  const content = Buffer.concat([Buffer.of(VERSION_SECTION.length), Buffer.from(VERSION_SECTION + version)]);
  return Buffer.concat([bytes, Buffer.of(0, content.length), content]);
}

function write(path: string, content: string | Uint8Array): string {
  mkdirSync(dirname(at(NEXT, path)), { recursive: true });
  writeFileSync(at(NEXT, path), content);
  return path;
}

/** What users load of a binary: the file, and the module that carries it. */
function shipped(target: string): Target {
  const { version } = JSON.parse(readFileSync(at("package.json"), "utf8")) as { version: string };
  return {
    name: `${target}-module`,
    inputs: () => [...contentsOf([`build/${target}.wasm`, "scripts/build.ts"]), version, VERSION_SECTION],
    make: async () => {
      const bytes = stamped(readFileSync(at("build", `${target}.wasm`)), version);
      return [
        write(`dist/wasm/${target}.wasm`, bytes),
        write(`dist/binary/${target}.js`, inlineModule(bytes)),
        write(`dist/binary/${target}.workerd.js`, `export { default } from "../wasm/${target}.wasm";\n`),
      ];
    },
  };
}

/** The binaries that users load: what matrices need, and convolutions apart. */
const BINARIES = ["simd", "relaxed", "conv-simd", "conv-relaxed"] as const;

/** The types of those modules, which the compiler of TypeScript looks for: one file for all (`imports` of package.json). */
const moduleTypes: Target = {
  name: "module-types",
  inputs: () => contentsOf(["scripts/build.ts"]),
  make: async () => [
    write(
      "dist/binary/simd.d.ts",
      "declare const binary: Uint8Array<ArrayBuffer> | WebAssembly.Module;\nexport default binary;\n",
    ),
  ],
};

const javascript: Target = {
  name: "javascript",
  inputs: () => [
    ...contentsOf([...filesOf("src"), "tsconfig.json", "tsconfig.build.json", "package.json", "scripts/build.ts"]),
    manifestOf("typescript").version,
  ],
  make: async () => {
    await run("typescript", "tsc", ["-p", "tsconfig.build.json", "--outDir", `${NEXT}/dist`]);
    return filesOf(`${NEXT}/dist`)
      .filter((path) => !/^build\/next\/dist\/(wasm|binary|cli)\//.test(path))
      .map((path) => path.slice(NEXT.length + 1));
  },
};

/** What the bundle of the command line has in it of other packages. */
const BUNDLED = ["@huggingface/jinja", "@huggingface/tokenizers", "cli-progress", "srvx"];

/**
 * The command line, a module a command, with what it needs of the library: to find and compile some 200 modules is most of
 * what a process would do until a small model's first token. `npm run check` looks at its types.
 */
const commandLine: Target = {
  name: "cli",
  inputs: () => [
    ...contentsOf([...filesOf("cli"), ...filesOf("src"), "scripts/build.ts"]),
    ...["esbuild", ...BUNDLED].map(versionOf),
  ],
  make: async () => {
    const { build } = await import("esbuild");
    const { metafile } = await build({
      absWorkingDir: root,
      // Threads are started from a file beside the module that starts them.
      entryPoints: { main: "cli/main.ts", worker: "src/runtime/worker.ts" },
      outdir: `${NEXT}/dist/cli`,
      bundle: true,
      splitting: true,
      format: "esm",
      platform: "node",
      target: "node20",
      external: ["#binary/*"],
      tsconfig: "cli/tsconfig.json",
      minify: true,
      // For packages that require() modules of Node.
      banner: { js: 'import { createRequire } from "node:module";\nconst require = createRequire(import.meta.url);' },
      metafile: true,
      logLevel: "warning",
    });
    const packages = new Set(
      Object.keys(metafile.inputs).flatMap((path) => /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1] ?? []),
    );
    const licences = [...packages].sort().map((name) => {
      const folder = `node_modules/${name}`;
      const file = readdirSync(at(folder)).find((one) => /^licen[cs]e/i.test(one));
      if (file === undefined) throw new Error(`${folder}: expected a licence, got none`);
      return `${name}\n\n${readFileSync(at(folder, file), "utf8").trim()}\n`;
    });
    const paths = Object.keys(metafile.outputs).map((path) => path.slice(NEXT.length + 1));
    return [...paths, write("dist/cli/LICENSES.txt", licences.join(`\n${"-".repeat(80)}\n\n`))];
  },
};

function readStamp(name: string): Stamp | undefined {
  try {
    return JSON.parse(readFileSync(at(STAMPS, name), "utf8")) as Stamp;
  } catch {
    return undefined;
  }
}

function isFresh(stamp: Stamp | undefined, inputs: string): boolean {
  return (
    stamp?.inputs === inputs &&
    Object.entries(stamp.outputs).every(([path, made]) => existsSync(at(path)) && hash(readFileSync(at(path))) === made)
  );
}

/** Moves a made file into place; one that is there with the same bytes is left as it is. */
function place(path: string): string {
  const made = hash(readFileSync(at(NEXT, path)));
  if (!existsSync(at(path)) || hash(readFileSync(at(path))) !== made) {
    mkdirSync(dirname(at(path)), { recursive: true });
    renameSync(at(NEXT, path), at(path));
  }
  return made;
}

async function bring(target: Target): Promise<void> {
  const inputs = hash(...target.inputs());
  if (!process.argv.includes("--force") && isFresh(readStamp(target.name), inputs)) return;
  const started = performance.now();
  const paths = await target.make();
  const stamp: Stamp = { inputs, outputs: Object.fromEntries(paths.map((path) => [path, place(path)])) };
  mkdirSync(at(STAMPS), { recursive: true });
  writeFileSync(at(NEXT, target.name), JSON.stringify(stamp));
  renameSync(at(NEXT, target.name), at(STAMPS, target.name));
  console.log(`built ${target.name} (${((performance.now() - started) / 1000).toFixed(1)} s)`);
}

/** What no target makes: of a source that is gone, or of an earlier way to build. */
function removeOthers(targets: readonly Target[]): void {
  const made = new Set(targets.flatMap(({ name }) => Object.keys(readStamp(name)?.outputs ?? {})));
  for (const path of filesOf("dist")) if (!made.has(path)) rmSync(at(path));
  const names = new Set(targets.map(({ name }) => name));
  for (const path of filesOf(STAMPS)) if (!names.has(posix.basename(path))) rmSync(at(path));
}

async function build(): Promise<void> {
  const began = new Date();
  rmSync(at(NEXT), { recursive: true, force: true });
  mkdirSync(at(NEXT, "build"), { recursive: true });
  const [simd, relaxed, debug] = [binary("simd", "simd"), binary("relaxed", "relaxed"), binary("simd", "debug")];
  const [convSimd, convRelaxed] = [
    binary("conv/index", "simd", "conv-simd"),
    binary("conv/index", "relaxed", "conv-relaxed"),
  ];
  const modules = BINARIES.map(shipped);
  const [simdModule, relaxedModule, convSimdModule, convRelaxedModule] = modules as [Target, Target, Target, Target];
  const results = await Promise.allSettled([
    bring(relaxed).then(() => bring(relaxedModule)),
    bring(simd).then(() => bring(simdModule)),
    bring(debug),
    bring(convRelaxed).then(() => bring(convRelaxedModule)),
    bring(convSimd).then(() => bring(convSimdModule)),
    bring(moduleTypes).then(() => bring(javascript)),
    bring(commandLine),
  ]);
  const failed = results.flatMap((result) => (result.status === "rejected" ? [result.reason as Error] : []));
  for (const { message } of failed) console.error(message);
  if (failed.length > 0) process.exitCode = 1;
  else {
    removeOthers([simd, relaxed, debug, convSimd, convRelaxed, ...modules, moduleTypes, javascript, commandLine]);
    writeFileSync(at(CHECKED), "");
    utimesSync(at(CHECKED), began, began);
  }
  rmSync(at(NEXT), { recursive: true, force: true });
}

const release = await holdLock(at("build", "lock"));
try {
  await build();
} finally {
  release();
}
