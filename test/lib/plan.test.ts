// What a filter runs: a format everywhere, and no suite of it is left out in silence.

import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { equal, is, match, ok } from "./assert.ts";
import { isSelected, makePlan } from "./plan.ts";
import { suite } from "./suite.ts";

const t = suite("plan");
const tests = fileURLToPath(new URL("..", import.meta.url));

t("a format is a part of every suite that goes over formats", () => {
  const files = makePlan(tests, ["uniform4"]).units.map(({ file }) => file);
  for (const name of ["kernels", "bounds", "counts", "layout"]) ok(files.includes(`kernels/${name}.test.ts`), name);
  for (const name of ["with", "errors"]) ok(files.includes(`matrix/${name}.test.ts`), name);
  for (const name of ["formats", "import", "quantize"]) ok(files.includes(`formats/shared/${name}.test.ts`), name);
  ok(files.includes("runtime/threads-bits.test.ts"));
  ok(files.includes("formats/uniform/ragged.test.ts"));
  ok(!files.some((file) => file.startsWith("formats/pvq/")));
});

t("a suite that goes over all formats says that a filter may take its cases", () => {
  const silent = readdirSync(tests, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".test.ts") && !/^formats\/(?!shared)/.test(file))
    .filter((file) => {
      const text = readFileSync(`${tests}/${file}`, "utf8");
      const overAll = /^import [^;]*\b(everyPair|testFormats)\b[^;]* from/m.test(text);
      return overAll && !/^\/\/ (Split by format|Cases name their formats)\./m.test(text);
    });
  equal(silent, []);
});

t("a format takes its own cases and those of its family, not of its neighbours", () => {
  const taken = (name: string, word = "uniform4"): boolean => isSelected(name, { anyOf: [word] });
  for (const name of ["kernels uniform4 int8", "gemv_uniform4_int8_16x8", "errors uniform", "uniform, 4 bits"]) {
    ok(taken(name), name);
  }
  for (const name of ["kernels uniform3 int8", "uniform8", "bcq", "codebook4"]) is(taken(name), false, name);
  is(taken("codebook4_i16 int8", "codebook4"), false);
});

t("a word that is nothing names what is near", () => {
  const { units, complaints } = makePlan(tests, ["unifrom4"]);
  is(units.length, 0);
  match(complaints.join(), /the nearest is "uniform4"/);
});
