// Writes golden.json anew: `tsx test/runtimes/make-golden.ts`, after a build. It changes only with the numerics contract, the
// quantisers or the list of cases; every runtime must then give the same hashes.

import { readFileSync, writeFileSync } from "node:fs";
import { makeGolden } from "./conformance.ts";

const file = new URL("golden.json", import.meta.url);
const { found, failures } = await makeGolden();
if (failures.length > 0) throw new Error(failures.join("\n"));
const text = `${JSON.stringify(found, null, 2)}\n`;
console.log(text === readFileSync(file, "utf8") ? "golden.json is as it was" : "golden.json has changed");
writeFileSync(file, text);
