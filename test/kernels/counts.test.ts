// No kernel grows: executed instructions under qemu against bench/results/counts.json (npm run count). What is not
// there (qemu, gcc, node of the counted version) is skipped with the reason; nothing is fetched: that is for the cells of
// test/runtimes/cells/counts.ts.
//
// Cases name their formats.

import { countAll } from "../../bench/count/all.ts";
import { countedKernels } from "../../bench/count/marks.ts";
import { complaints, merge, type Row, readRecord, rowsOf } from "../../bench/count/record.ts";
import { TARGETS } from "../../bench/count/tools.ts";
import { kernels } from "../../src/kernels/registry.ts";
import { equal, is } from "../lib/assert.ts";
import { isTaken, suite } from "../lib/suite.ts";

const record = readRecord();
const t = suite("counts");

t("every kernel of the registry is recorded, on every processor", () => {
  const expected = (["simd", "relaxed"] as const).flatMap((variant) =>
    countedKernels(variant).map(({ name }) => `${name} ${variant}`),
  );
  equal(record.map(({ kernel, variant }) => `${kernel} ${variant}`).sort(), expected.sort());
  for (const { kernel, counts } of record) is(Object.keys(counts).length, TARGETS.length, kernel);
});

t("a kernel that grows by more than 5 % is found, and one that is new", () => {
  const row = (kernel: string, count: number): Row => ({
    kernel,
    variant: "simd",
    weights: "",
    counts: { "cortex-a72": count },
  });
  const before = [row("a", 20), row("b", 20)];
  equal(complaints([row("a", 21), row("b", 10)], before), []);
  equal(complaints([row("a", 21.1), row("c", 1)], before), [
    "a (simd, cortex-a72): 21.1 instructions, 20 recorded",
    "c (simd, cortex-a72): 1 instructions, and nothing recorded",
  ]);
  equal(
    merge([row("a", 22)], before, ({ kernel }) => kernel !== "b"),
    [row("a", 22)],
  );
});

const formatOfKernel = new Map<string, string>(kernels.map(({ name, format }) => [name, format]));
const formats = [...new Set(record.map(({ kernel }) => formatOfKernel.get(kernel) ?? ""))];
for (const target of TARGETS) {
  const caseOf = (format: string): string => `${format} on ${target.cpu}: no kernel has grown`;
  const chosen = formats.filter((format) => isTaken(`counts ${caseOf(format)}`));
  if (chosen.length === 0) continue;
  const names = record.map(({ kernel }) => kernel).filter((name) => chosen.includes(formatOfKernel.get(name) ?? ""));
  const filter = chosen.length === formats.length ? "" : `^(${[...new Set(names)].join("|")})$`;
  const { counted, skipped } = await countAll({ targets: [target], filter, download: false });
  const rows = rowsOf(counted);
  for (const format of chosen) {
    for (const reason of skipped) t.skip(caseOf(format), reason);
    if (skipped.length > 0) continue;
    t(caseOf(format), () => {
      const own = rows.filter(({ kernel }) => formatOfKernel.get(kernel) === format);
      is(own.length > 0, true, "counted");
      equal(complaints(own, record), []);
    });
  }
}
