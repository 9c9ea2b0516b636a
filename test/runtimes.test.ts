// What the runtime matrix (npm run test:runtimes) relies on: its list of formats is whole, and a wrong hash is noticed.
import { readFileSync } from "node:fs";
import * as lowbit from "../src/index.ts";
import * as assert from "./lib/assert.ts";
import { suite } from "./lib/suite.ts";
import { CASES, nameOf } from "./runtimes/cases.ts";
import { conform, type Golden } from "./runtimes/conformance.ts";

const t = suite("runtimes");
const golden = JSON.parse(readFileSync(new URL("runtimes/golden.json", import.meta.url), "utf8")) as Golden;

t("every public format is in the list of cases", () => {
  const formats = Object.entries(lowbit).filter(([, module]) => typeof module === "object" && "quantize" in module);
  assert.ok(formats.length >= 12);
  for (const [format] of formats) {
    assert.ok(
      CASES.some((item) => item.format === format),
      `${format}: add a line to test/runtimes/cases.ts and run tsx test/runtimes/make-golden.ts`,
    );
  }
});

t("every case has golden hashes", () => {
  for (const item of CASES) {
    const names = Object.keys(golden).filter((name) => name.startsWith(`${nameOf(item)}: `));
    for (const what of ["gemv", "gemm", "dequantize"]) {
      assert.ok(
        names.some((name) => name.endsWith(what)),
        `${nameOf(item)} ${what}: run tsx test/runtimes/make-golden.ts`,
      );
    }
  }
});

t("all hashes are golden here, and one that is not is noticed", async () => {
  const wrong = "uniform bits=5: f32 gemm";
  assert.ok(wrong in golden);
  const { failures, checks } = await conform({ ...golden, [wrong]: "00000000" });
  assert.ok(checks > 500);
  assert.ok(failures.length > 0);
  for (const failure of failures) assert.match(failure, /^uniform bits=5: f32 gemm \(.*\): expected 00000000, got /);
});
