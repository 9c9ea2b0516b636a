// npm run generate: writes what follows from the rows of src/kernels/ and from the folders of formats. --check: says what is
// stale. --golden: then builds, and writes the hashes of the conformance cases.
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { generated } from "./generate/all.ts";
import { root } from "./generate/paths.ts";

const stale = (await generated()).filter(({ file, text }) => {
  try {
    return readFileSync(join(root, file), "utf8") !== text;
  } catch {
    return true;
  }
});
const check = process.argv.includes("--check");
for (const { file, text } of stale) {
  if (!check) writeFileSync(join(root, file), text);
  console.log(`${check ? "stale" : "wrote"} ${file}`);
}
if (stale.length === 0) console.log("everything generated is up to date");
if (check && stale.length > 0) process.exitCode = 1;

if (process.argv.includes("--golden")) {
  for (const script of ["scripts/build.ts", "test/runtimes/make-golden.ts"]) {
    const { status } = spawnSync(process.execPath, [...process.execArgv, join(root, script)], { stdio: "inherit" });
    if (status !== 0) process.exit(status ?? 1);
  }
}
