// Builds dist/: kernels to wasm, wasm to modules that carry it, TypeScript to JavaScript and declarations.
// --if-stale: nothing is done when dist/ is newer than every source.

import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { VERSION_SECTION } from "../src/lib/version.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const require = createRequire(import.meta.url);
const at = (...parts: string[]): string => join(root, ...parts);
const STAMP = at("build", "stamp"); // written last, so that a build that failed half-way is stale
const SOURCES = ["assembly", "src", "scripts/build.ts", "asconfig.json", "package.json", "tsconfig.json"];

function newest(path: string): number {
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.mtimeMs;
  return Math.max(...readdirSync(path).map((name) => newest(join(path, name))));
}

function run(script: string, args: string[]): Promise<void> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [script, ...args], { cwd: root, stdio: "inherit" });
    child.on("exit", (status) => (status === 0 ? resolve() : process.exit(status ?? 1)));
  });
}

function packageBin(name: string, bin: string): string {
  const manifest = require.resolve(`${name}/package.json`);
  return join(dirname(manifest), JSON.parse(readFileSync(manifest, "utf8")).bin[bin]);
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

/** The version as a custom section at the end, by which init() knows a module of another. */
function stamp(file: string): void {
  const { version } = JSON.parse(readFileSync(at("package.json"), "utf8")) as { version: string };
  const content = Buffer.concat([Buffer.of(VERSION_SECTION.length), Buffer.from(VERSION_SECTION + version)]);
  writeFileSync(file, Buffer.concat([readFileSync(file), Buffer.of(0, content.length), content]));
}

async function build(): Promise<void> {
  rmSync(at("dist"), { recursive: true, force: true });
  mkdirSync(at("dist", "wasm"), { recursive: true });
  mkdirSync(at("dist", "binary"), { recursive: true });
  mkdirSync(at("build"), { recursive: true });
  const asc = packageBin("assemblyscript", "asc");
  // Each compilation takes one thread for 10 to 20 s.
  const compile = (entry: string, target: string): Promise<void> =>
    run(asc, [`assembly/${entry}.ts`, "--config", "asconfig.json", "--target", target]);
  await Promise.all([compile("relaxed", "relaxed"), compile("simd", "simd"), compile("simd", "debug")]);
  for (const target of ["simd", "relaxed"]) {
    stamp(at("dist", "wasm", `${target}.wasm`));
    writeFileSync(
      at("dist", "binary", `${target}.js`),
      inlineModule(readFileSync(at("dist", "wasm", `${target}.wasm`))),
    );
    writeFileSync(at("dist", "binary", `${target}.workerd.js`), `export { default } from "../wasm/${target}.wasm";\n`);
    writeFileSync(
      at("dist", "binary", `${target}.d.ts`),
      "declare const binary: Uint8Array<ArrayBuffer> | WebAssembly.Module;\nexport default binary;\n",
    );
  }
  await run(packageBin("typescript", "tsc"), ["-p", "tsconfig.build.json"]);
  writeFileSync(STAMP, "");
}

const stale =
  !existsSync(STAMP) ||
  !existsSync(at("dist")) ||
  SOURCES.some((source) => newest(at(source)) > statSync(STAMP).mtimeMs);
if (stale || !process.argv.includes("--if-stale")) await build();
