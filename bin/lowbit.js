#!/usr/bin/env node
// The command line. In a checkout it is built first where dist/ is older than the sources; in the package it is there.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const builder = join(root, "scripts", "build.ts");

/** The latest change below a path; of folders too, which what was removed changes. */
function changed(path) {
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.mtimeMs;
  return readdirSync(path, { withFileTypes: true }).reduce((latest, entry) => {
    const inner = join(path, entry.name);
    return Math.max(latest, entry.isDirectory() ? changed(inner) : statSync(inner).mtimeMs);
  }, stat.mtimeMs);
}

/** Whether a build has looked at everything since it last changed. It goes by contents; times only say when to ask it. */
function isFresh() {
  const mark = join(root, "build", "checked");
  if (!existsSync(mark) || !existsSync(join(root, "dist", "cli", "main.js"))) return false;
  const sources = ["src", "cli", "assembly", "scripts", "package.json", "package-lock.json", "tsconfig.json"];
  const built = statSync(mark).mtimeMs;
  return [...sources, "tsconfig.build.json", "asconfig.json"].every((path) => changed(join(root, path)) <= built);
}

function build() {
  const tsx = join(root, "node_modules", "tsx", "dist", "cli.mjs");
  if (!existsSync(tsx)) {
    console.error("lowbit: this checkout is not built and has no node_modules: run npm ci first");
    return 1;
  }
  console.error("lowbit: building this checkout, which takes a minute or two when the kernels have changed");
  // What a build prints is no output of a command.
  return spawnSync(process.execPath, [tsx, builder], { cwd: root, stdio: ["ignore", 2, 2] }).status ?? 1;
}

process.exitCode = existsSync(builder) && !isFresh() ? build() : 0;
if (process.exitCode === 0) {
  const { main } = await import("../dist/cli/main.js");
  process.exitCode = await main(process.argv.slice(2));
}
