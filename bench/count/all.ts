// Every target in turn, as npm run count and test/kernels/counts.test.ts want it.
import { type Count, count } from "./count.ts";
import type { Counted } from "./record.ts";
import { Missing, TARGETS, type Target } from "./tools.ts";

export interface CountOptions {
  readonly filter?: string;
  readonly targets?: readonly Target[];
  readonly download: boolean;
}

/** Counts on all targets that can run here, one after the other. `skipped` has why the others cannot. */
export async function countAll({ filter = "", targets = TARGETS, download }: CountOptions) {
  const counted = new Map<Target["cpu"], readonly Count[]>();
  const skipped: string[] = [];
  for (const target of targets) {
    try {
      counted.set(target.cpu, await count(target, filter, download));
    } catch (error) {
      if (!(error instanceof Missing)) throw error;
      skipped.push(`${target.cpu}: ${error.message}`);
    }
  }
  return { counted: counted as Counted, skipped };
}
