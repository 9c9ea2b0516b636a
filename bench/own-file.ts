// How fast a file of lowbit's own is saved and loaded: `npx tsx bench/own-file.ts [megabytes]` writes one of uniform4 matrices to a
// temporary folder, and loads it from the page cache into memory that the process had not touched, and into memory that it had.
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadMatrices, saveMatrices } from "../src/files/index.ts";
import { init, uniform } from "../src/index.ts";

const size = Number(process.argv[2] ?? 600);
const rows = 4096;
const cols = 4096;
const folder = mkdtempSync(join(tmpdir(), "lowbit-"));
const path = join(folder, "own.safetensors");

async function timed(what: string, bytes: () => number, body: () => Promise<unknown>): Promise<void> {
  const cpu = process.cpuUsage();
  const start = performance.now();
  await body();
  const ms = performance.now() - start;
  const { user, system } = process.cpuUsage(cpu);
  const rate = (n: number): string => (bytes() / n / 1e6).toFixed(2);
  console.log(`${what}: ${rate(ms)} GB/s; ${rate((user + system) / 1000)} GB/s by the processor's time`);
}

try {
  const first = await init({ threads: 1 });
  const codes = Uint8Array.from({ length: rows * cols }, (_, i) => (i * 7) & 15);
  const scales = new Float32Array((rows * cols) / 64).fill(1);
  const matrix = uniform.pack(first, { rows, cols, bits: 4, groupSize: 64, codes, scales });
  const count = Math.ceil((size * 1e6) / matrix.byteLength);
  const content = Object.fromEntries(Array.from({ length: count }, (_, i) => [`layer.${i}`, matrix]));
  const bytes = (): number => statSync(path).size;
  await timed("save", bytes, () => saveMatrices(path, content));
  const lb = await init({ threads: 1 });
  for (const memory of ["new", "used", "used", "used"]) {
    const before = process.memoryUsage().rss;
    let most = 0;
    const watch = setInterval(() => {
      most = Math.max(most, process.memoryUsage().rss);
    }, 5);
    let loaded: Awaited<ReturnType<typeof loadMatrices>> | undefined;
    await timed(`load into ${memory} memory`, bytes, async () => {
      loaded = await loadMatrices(lb, path);
    });
    clearInterval(watch);
    if (memory === "new") console.log(`  beside the matrices ${((most - before - bytes()) / 2 ** 20).toFixed(1)} MiB`);
    loaded?.dispose();
  }
  // What of "new" is the system's, which gives pages when they are first written.
  const pages = new WebAssembly.Memory({ initial: Math.ceil(bytes() / 65536), maximum: 65535 });
  const piece = new Uint8Array(1 << 18).fill(1);
  await timed("copies alone into new memory", bytes, async () => {
    const to = new Uint8Array(pages.buffer);
    for (let at = 0; at + piece.length <= to.length; at += piece.length) to.set(piece, at);
  });
} finally {
  rmSync(folder, { recursive: true });
}
