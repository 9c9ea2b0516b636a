// What was recorded: bench/results/counts.json, a line a kernel, so that a change is seen line by line.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Variant } from "../../src/kernels/types.ts";
import type { Count } from "./count.ts";
import { NODE_VERSION, root, TARGETS, type Target } from "./tools.ts";

const FILE = join(root, "bench", "results", "counts.json");

/** A kernel may grow by this before it counts as grown. */
export const TOLERANCE = 0.05;

export interface Row {
  readonly kernel: string;
  readonly variant: Variant;
  readonly weights: string;
  /** Executed instructions for 64 weights on each processor that was there. */
  readonly counts: Readonly<Partial<Record<Target["cpu"], number>>>;
}

export type Counted = ReadonlyMap<Target["cpu"], readonly Count[]>;

/** One row a kernel and binary. */
export function rowsOf(counted: Counted): Row[] {
  const rows = new Map<string, Row>();
  for (const [cpu, counts] of counted) {
    for (const { kernel, variant, weights, per64 } of counts) {
      const row = rows.get(`${kernel} ${variant}`) ?? { kernel, variant, weights, counts: {} };
      rows.set(`${kernel} ${variant}`, { ...row, counts: { ...row.counts, [cpu]: per64 } });
    }
  }
  return [...rows.values()];
}

export function readRecord(): Row[] {
  if (!existsSync(FILE)) return [];
  return (JSON.parse(readFileSync(FILE, "utf8")) as { rows: Row[] }).rows;
}

export function writeRecord(rows: readonly Row[]): void {
  const lines = rows.map((row) => `    ${JSON.stringify(row)}`);
  const head = `{\n  "node": "${NODE_VERSION}",\n  "unit": "executed instructions for 64 weights",\n  "rows": [\n`;
  writeFileSync(FILE, `${head}${lines.join(",\n")}\n  ]\n}\n`);
}

const same = (a: Row, b: Row): boolean => a.kernel === b.kernel && a.variant === b.variant;

/** What of the record has grown, or is not there: a sentence each. */
export function complaints(rows: readonly Row[], record: readonly Row[]): string[] {
  return rows.flatMap((row) => {
    const before = record.find((one) => same(one, row));
    return TARGETS.flatMap(({ cpu }) => {
      const [now, then] = [row.counts[cpu], before?.counts[cpu]];
      if (now === undefined) return [];
      const where = `${row.kernel} (${row.variant}, ${cpu})`;
      if (then === undefined) return [`${where}: ${now} instructions, and nothing recorded`];
      return now > then * (1 + TOLERANCE) ? [`${where}: ${now} instructions, ${then} recorded`] : [];
    });
  });
}

/** The record, in its order, with what was counted; kernels that `exists` denies go. */
export function merge(rows: readonly Row[], record: readonly Row[], exists: (row: Row) => boolean): Row[] {
  const kept = record.filter(exists).map((one) => {
    const row = rows.find((other) => same(one, other));
    return row ? { ...row, counts: { ...one.counts, ...row.counts } } : one;
  });
  return [...kept, ...rows.filter((row) => !record.some((one) => same(one, row)))];
}
