// Writes golden.json anew: `tsx test/runtimes/make-golden.ts`, after a build. It changes only with the numerics contract, the
// quantisers or the list of cases; every runtime must then give the same hashes.

import { readFileSync, writeFileSync } from "node:fs";
import { makeGolden } from "./conformance.ts";

const file = new URL("golden.json", import.meta.url);
const { found, failures } = await makeGolden();
if (failures.length > 0) throw new Error(failures.join("\n"));
// In the order of the file, new ones last: a change of the order of cases is none of the hashes.
const before = readFileSync(file, "utf8");
const known = Object.keys(JSON.parse(before) as Record<string, string>).filter((name) => name in found);
const order = [...known, ...Object.keys(found).filter((name) => !known.includes(name))];
const text = `${JSON.stringify(Object.fromEntries(order.map((name) => [name, found[name]])), null, 2)}\n`;
console.log(text === before ? "golden.json is as it was" : "golden.json has changed");
writeFileSync(file, text);
