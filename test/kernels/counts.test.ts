// No kernel grows: executed instructions under qemu against bench/results/counts.json (npm run count). What is not
// there (qemu, gcc, node of the counted version) is skipped with the reason; nothing is fetched: that is for the cells of
// test/runtimes/cells/counts.ts.

import { countAll } from "../../bench/count/all.ts";
import { countedKernels } from "../../bench/count/marks.ts";
import { complaints, merge, type Row, readRecord, rowsOf } from "../../bench/count/record.ts";
import { TARGETS } from "../../bench/count/tools.ts";
import { equal, is } from "../lib/assert.ts";
import { suite } from "../lib/suite.ts";

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

for (const target of TARGETS) {
  const { counted, skipped } = await countAll({ targets: [target], download: false });
  for (const reason of skipped) t.skip(target.cpu, reason);
  if (skipped.length > 0) continue;
  t(`${target.cpu}: no kernel has grown`, () => {
    equal(complaints(rowsOf(counted), record), []);
  });
}
