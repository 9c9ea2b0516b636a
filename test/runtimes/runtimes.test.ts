// What the runtime matrix (npm run test:runtimes) relies on: its list of formats is whole, and a wrong hash is noticed.

import { readFileSync } from "node:fs";
import * as lowbit from "../../src/index.ts";
import * as assert from "../lib/assert.ts";
import { suite } from "../lib/suite.ts";
import { CASES, nameOf } from "./cases.ts";
import { checkReport, parseReport } from "./cell.ts";
import { conform, type Golden, type Report } from "./conformance.ts";
import { run, runWell } from "./process.ts";
import type { Project } from "./project.ts";

const t = suite("runtimes");
const golden = JSON.parse(readFileSync(new URL("golden.json", import.meta.url), "utf8")) as Golden;

t("every public format is in the list of cases", () => {
  const formats = Object.entries(lowbit).filter(([, module]) => typeof module === "object" && "quantize" in module);
  assert.ok(formats.length >= 12);
  for (const [format] of formats) {
    assert.ok(
      CASES.some((item) => item.format === format),
      `${format}: add cases to test/formats/${format}/about.ts and run npm run generate -- --golden`,
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

const project: Project = { tarball: "", folder: "" };
const features = { variant: "relaxed", relaxed: true, threads: 1, dot: "i16", popcnt: "sliced" } as const;
const good: Report = {
  features,
  threaded: { ...features, threads: 2 },
  gemvAsync: true,
  variants: ["simd", "relaxed"],
  kernels: 90,
  checks: 1100,
  failures: [],
};

t("a report is held to what its runtime must have", () => {
  const expected = { variant: "relaxed", threads: true } as const;
  const check =
    (change: Partial<Report>, threads = true) =>
    () =>
      checkReport({ ...good, ...change }, expected, { project, threads });
  check({})();
  assert.throwsWith(check({ failures: ["it is wrong"] }), Error, "it is wrong");
  const simd = { ...features, variant: "simd" } as const;
  assert.throwsWith(check({ features: simd }), Error, "features.variant: expected relaxed, got simd");
  const one = { ...features, threadsReason: "a worker died" };
  assert.throwsWith(check({ threaded: one }), Error, "features.threads (a worker died): expected 2, got 1");
  assert.throwsWith(check({}, false), Error, "features.threads (no reason given): expected 1, got 2");
  assert.throwsWith(check({ checks: 900 }), Error, "only 900 checks ran");
  assert.throwsWith(() => checkReport({}, expected, { project, threads: true }), Error, "no report");
  assert.throwsWith(() => parseReport("Segmentation fault"), Error, "no report in the output:\nSegmentation fault");
});

t("a command that hangs is ended with what it started, and one that fails says why", async () => {
  const started = performance.now();
  await assert.rejectsWith(
    run("sh", ["-c", "echo begun; sleep 61 & wait"], { seconds: 0.3 }),
    Error,
    /still running after 0\.3 s: sh .*\nbegun$/s,
  );
  assert.ok(performance.now() - started < 10_000);
  await assert.rejectsWith(
    runWell("sh", ["-c", "echo no such thing >&2; exit 3"]),
    Error,
    /^status 3 of sh .*\nno such thing$/s,
  );
  await assert.rejectsWith(run("no-such-command", []), Error, "ENOENT");
});

t("all hashes are golden here, and one that is not is noticed", async () => {
  const wrong = "uniform bits=5: f32 gemm";
  assert.ok(wrong in golden);
  const { failures, checks } = await conform({ ...golden, [wrong]: "00000000" });
  assert.ok(checks > 500);
  assert.ok(failures.length > 0);
  for (const failure of failures) assert.match(failure, /^uniform bits=5: f32 gemm \(.*\): expected 00000000, got /);
});
