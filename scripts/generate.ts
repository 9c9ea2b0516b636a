// npm run generate: writes what follows from the rows of src/kernels/ and from the folders of formats. --check: says what is stale.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { generated } from "./generate/all.ts";
import { root } from "./generate/paths.ts";

const stale = generated().filter(({ file, text }) => {
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
