// Every target in turn, as npm run count and test/counts.test.ts want it.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { type Count, count } from "./count.ts";
import type { Counted } from "./record.ts";
import { Missing, plugin, root, TARGETS, type Target } from "./tools.ts";

export interface CountOptions {
  readonly filter?: string;
  readonly targets?: readonly Target[];
  readonly download: boolean;
}

/** Counts on all targets that can run here, one after the other. `skipped` has why the others cannot. */
export async function countAll({ filter = "", targets = TARGETS, download }: CountOptions) {
  const counted = new Map<Target["cpu"], readonly Count[]>();
  const skipped: string[] = [];
  const built = spawnSync(
    process.execPath,
    [join(root, "node_modules", "typescript", "bin", "tsc"), "-p", "bench/count"],
    {
      cwd: root,
      encoding: "utf8",
    },
  );
  if (built.status !== 0) throw new Error(`bench/count/guest.ts: ${built.stdout}`);
  for (const target of targets) {
    try {
      counted.set(target.cpu, await count(target, plugin(), filter, download));
    } catch (error) {
      if (!(error instanceof Missing)) throw error;
      skipped.push(`${target.cpu}: ${error.message}`);
    }
  }
  return { counted: counted as Counted, skipped };
}
