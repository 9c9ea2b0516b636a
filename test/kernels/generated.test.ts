// What `npm run generate` writes is checked in; this says when it is stale.

import { readFileSync } from "node:fs";
import { generated } from "../../scripts/generate/all.ts";
import { root } from "../../scripts/generate/paths.ts";
import { equal, ok } from "../lib/assert.ts";
import { suite } from "../lib/suite.ts";

const t = suite("generated");

for (const { file, text } of await generated()) {
  t(file, () => {
    const stored = readFileSync(`${root}${file}`, "utf8");
    if (stored === text) return;
    const lines = [stored.split("\n"), text.split("\n")] as const;
    const at = lines[1].findIndex((line, i) => line !== lines[0][i]);
    equal(lines[0][at], lines[1][at], `${file}:${at + 1} is stale: npm run generate`);
    ok(false, `${file} is stale: npm run generate`);
  });
}
