// npm run kernels [FILTER]: the rows of src/kernels/, a line a kernel.
import { cores } from "../src/kernels/cores.ts";
import { exportOf } from "../src/kernels/registry.ts";
import type { Kernel } from "../src/kernels/types.ts";

const filter = new RegExp(process.argv[2] ?? "");
let count = 0;
for (const [core, { formats, kernels, kinds }] of Object.entries(cores)) {
  const rows = (kernels as readonly Kernel[]).filter(({ name }) => filter.test(name));
  if (rows.length === 0) continue;
  console.log(`\n${core}: formats ${Object.keys(formats).join(", ")}`);
  if (Object.keys(kinds).length > 0) console.log(`kinds of gemm ${Object.keys(kinds).join(", ")}`);
  const width = Math.max(...rows.map(({ name }) => name.length));
  for (const row of rows) {
    const { name, needs, tile, fromTokens, dot, popcnt, bound } = row;
    const from = exportOf(row);
    const notes = [
      needs.padEnd(7),
      tile.join("x").padEnd(5),
      ...(from === name ? [] : [`export ${from}`]),
      ...(fromTokens === undefined ? [] : [`from ${fromTokens} tokens`]),
      ...(dot ? [`dot ${dot}`] : []),
      ...(popcnt ? [`popcnt ${popcnt}`] : []),
    ];
    console.log(`  ${name.padEnd(width)}  ${notes.join("  ")}\n      ${bound}`);
  }
  count += rows.length;
}
console.log(`\n${count} kernels`);
