import type { Report } from "./conformance.ts";
import type { Project } from "./project.ts";

export interface Context {
  readonly project: Project;
  /** Whether this version has threads at all: then they must be there wherever shared memory and workers are. */
  readonly threads: boolean;
}

/** What a cell that passed says of itself in the tables. */
export interface Passed {
  readonly version?: string;
  readonly report?: Report;
  /** Where there is no report: what was seen. */
  readonly note?: string;
}

export interface Cell {
  readonly name: string;
  readonly table: "runtimes" | "bundlers" | "package" | "examples";
  /** After so many it has failed. Default 180. */
  readonly seconds?: number;
  run(context: Context): Promise<Passed>;
}

export interface Outcome {
  readonly cell: Cell;
  readonly status: "passed" | "failed" | "skipped";
  /** Its note is why the cell failed or was skipped. */
  readonly result: Passed;
}

export interface Expected {
  /** The binary that `init()` chooses. */
  readonly variant: "relaxed" | "simd";
  /** Whether the runtime has what threads need. */
  readonly threads: boolean;
  readonly dot?: "i16" | "i32" | "u8" | "s8" | "mul";
  readonly popcnt?: "native" | "sliced";
}

/** Throws unless the report is without failures and says what is expected. */
export function checkReport(report: Partial<Report>, expected: Expected, { threads }: Context): Report {
  const failures = [...(report.failures ?? ["no report"])];
  const { features, threaded } = report;
  if (features && threaded) {
    const same = (name: string, got: unknown, wanted: unknown): void => {
      if (wanted !== undefined && got !== wanted) failures.push(`${name}: expected ${wanted}, got ${got}`);
    };
    same("features.variant", features.variant, expected.variant);
    same("features.dot", features.dot, expected.dot);
    same("features.popcnt", features.popcnt, expected.popcnt);
    const count = threads && expected.threads ? 2 : 1;
    same(`features.threads (${threaded.threadsReason ?? "no reason given"})`, threaded.threads, count);
    if (!(report.checks && report.checks > 500 * (report.variants?.length ?? 2)))
      failures.push(`only ${report.checks} checks ran`);
  }
  if (failures.length > 0) {
    const more = failures.length > 5 ? `\n… and ${failures.length - 5} more` : "";
    throw new Error(failures.slice(0, 5).join("\n") + more);
  }
  return report as Report;
}

/** The report that entries/command.ts and entries/worker.ts print. */
export function parseReport(output: string): Partial<Report> {
  const line = /^.*?REPORT (\{.*\})/m.exec(output)?.[1];
  if (line === undefined) throw new Error(`no report in the output:\n${output.trim().slice(-1500)}`);
  return JSON.parse(line) as Partial<Report>;
}
