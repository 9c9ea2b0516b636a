// A thread that quantises (runtime/quantize-pool.ts): computes parts of what formats offer (lib/parts.ts), one after the other.
// It loads quantisers and nothing else: no kernels, no dynamic import, which bundlers of workers do not all split.
import { bcqTask } from "./formats/bcq/quantize.ts";
import { tableTask } from "./formats/codebook/grid.ts";
import { kmeansTask } from "./formats/codebook/kmeans.ts";
import { e8pTask } from "./formats/e8p/quantize.ts";
import { glvqTask } from "./formats/glvq/quantize.ts";
import { liftTask } from "./formats/lift/quantize.ts";
import { minifloatTask } from "./formats/minifloat/quantize.ts";
import { ptqtpTask } from "./formats/ptqtp/quantize.ts";
import { pvqTask } from "./formats/pvq/quantize.ts";
import { trellisTask } from "./formats/trellis/quantize.ts";
import { uniformTask } from "./formats/uniform/quantize.ts";
import type { PartTask } from "./lib/parts.ts";
import { openPort } from "./runtime/port.ts";
import type { PartAnswer, PartMessage } from "./runtime/quantize-pool.ts";

const tasks = [
  bcqTask,
  e8pTask,
  glvqTask,
  kmeansTask,
  liftTask,
  minifloatTask,
  ptqtpTask,
  pvqTask,
  tableTask,
  trellisTask,
  uniformTask,
] as unknown as readonly PartTask<unknown, unknown>[];

/** Milliseconds between two messages of how far a part is. */
const NEWS = 20;

function compute({ task, args }: PartMessage): unknown {
  const found = tasks.find(({ name }) => name === task);
  if (!found) throw new Error(`no task ${task}: the worker is of another version`);
  const steps = found.run(args);
  for (let since = performance.now(); ; ) {
    const step = steps.next();
    if (step.done) return step.value;
    if (typeof step.value !== "number" || performance.now() - since < NEWS) continue;
    since = performance.now();
    port.post({ done: step.value });
  }
}

/** The memory of arrays in a result, which is moved. */
function buffersOf(value: unknown, found = new Set<ArrayBuffer>()): Set<ArrayBuffer> {
  if (ArrayBuffer.isView(value)) found.add(value.buffer as ArrayBuffer);
  else if (typeof value === "object" && value !== null) for (const one of Object.values(value)) buffersOf(one, found);
  return found;
}

const port = openPort<PartMessage, PartAnswer>((message) => {
  try {
    const result = compute(message);
    port.post({ result }, [...buffersOf(result)]);
  } catch (error) {
    port.post({ failed: error instanceof Error ? error.message : String(error) });
  }
});
