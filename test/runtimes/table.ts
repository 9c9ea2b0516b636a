// The tables of docs/runtimes.md and README.md, between markers: <!-- runtimes --> … <!-- /runtimes -->.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Outcome } from "./cell.ts";
import { root } from "./paths.ts";

const MARK = { passed: "yes", failed: "**failed**", skipped: "skipped" } as const;
const BINARY = { relaxed: "relaxed", simd: "simd128" } as const;

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((_, i) => Math.max(3, ...[head, ...rows].map((row) => (row[i] as string).length)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, i) => cell.padEnd(widths[i] as number)).join(" | ")} |`;
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...rows.map(line)].join("\n");
}

/** What the cell says where it has no report, or why it did not pass. */
function remark({ status, result }: Outcome): string {
  const text = status === "passed" ? (result.note ?? "") : `${MARK[status]}: ${result.note?.split("\n")[0]}`;
  return text.replaceAll("|", "\\|");
}

function runtimeRow(outcome: Outcome): string[] {
  const { cell, result } = outcome;
  const { report } = result;
  if (!report) return [cell.name, result.version ?? "", "", "", remark(outcome)];
  const { features, threaded, checks } = report;
  const threads = String(threaded.threads);
  return [cell.name, result.version ?? "", BINARY[features.variant], threads, `yes, ${checks} checks`];
}

/** A browser has several rows in the long table: one in the short. */
function shortRow(outcomes: readonly Outcome[], name: string): string[] {
  const same = outcomes.filter(({ cell }) => family(cell.name) === name);
  const versions = [...new Set(same.map(({ result }) => result.version?.split(".")[0]).filter(Boolean))];
  const reports = same.flatMap(({ result }) => result.report ?? []);
  const binaries = [...new Set(reports.map(({ features }) => BINARY[features.variant]))].reverse();
  const worst = same.find(({ status }) => status === "failed") ?? same.find(({ status }) => status === "skipped");
  return [name, versions.join(", "), binaries.join(", "), worst ? MARK[worst.status] : "yes"];
}

/** "Chromium, isolated" is Chromium; "Node 24 on ARM (cortex-a72)" is Node on ARM. */
function family(name: string): string {
  return name.replace(/,.*| \(.*/g, "").replace(/ \d+/, "");
}

function replace(file: string, marker: string, text: string): void {
  const path = join(root, file);
  const before = readFileSync(path, "utf8");
  const pattern = new RegExp(`(<!-- ${marker} -->\n).*?(<!-- /${marker} -->)`, "s");
  if (!pattern.test(before)) throw new Error(`${file}: no <!-- ${marker} --> … <!-- /${marker} -->`);
  const after = before.replace(pattern, (_, start: string, end: string) => `${start}\n${text}\n\n${end}`);
  if (after !== before) writeFileSync(path, after);
}

export function writeTables(outcomes: readonly Outcome[]): void {
  const of = (name: string): Outcome[] => outcomes.filter(({ cell }) => cell.table === name);
  const runtimes = of("runtimes");
  replace(
    "docs/runtimes.md",
    "runtimes",
    table(["runtime", "version", "binary", "threads", "conforms"], runtimes.map(runtimeRow)),
  );
  for (const name of ["bundlers", "package", "examples"]) {
    const rows = of(name).map((outcome) => [outcome.cell.name, outcome.result.version ?? "", remark(outcome)]);
    replace("docs/runtimes.md", name, table([name, "version", "what was seen"], rows));
  }
  const families = [...new Set(runtimes.map(({ cell }) => family(cell.name)))];
  const rows = families.map((name) => shortRow(runtimes, name));
  replace("README.md", "runtimes", table(["runtime", "versions", "binary", "conforms"], rows));
}
