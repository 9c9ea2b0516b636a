// Where lowbit runs: npm run test:runtimes
//
//   --only REGEX    the cells whose name matches
//   --no-install    skip what is not there already
//   --write         write the tables of docs/runtimes.md and README.md (after a whole run)
//   --list          only the names
//
// A line a cell: passed, failed, or skipped with its reason. The last line is "N passed, N failed, N skipped".
import { parseArgs } from "node:util";
import type { Cell, Context, Outcome, Passed } from "./cell.ts";
import { browserCells } from "./cells/browsers.ts";
import { bundlerCells } from "./cells/bundlers.ts";
import { commandCells } from "./cells/commands.ts";
import { countCells } from "./cells/counts.ts";
import { exampleCells } from "./cells/examples.ts";
import { packageCells } from "./cells/package.ts";
import { forbidInstalling, Unavailable } from "./install.ts";
import { run, tail } from "./process.ts";
import { makeProject, type Project } from "./project.ts";
import { writeTables } from "./table.ts";

/** Cells at a time: each takes about one core. */
const JOBS = 2;

const { values } = parseArgs({
  options: {
    only: { type: "string", default: "" },
    "no-install": { type: "boolean", default: false },
    write: { type: "boolean", default: false },
    list: { type: "boolean", default: false },
  },
});
const pattern = new RegExp(values.only, "i");
const all = [...commandCells, ...browserCells, ...bundlerCells, ...packageCells, ...countCells, ...exampleCells];
const cells = all.filter(({ name }) => pattern.test(name));
if (cells.length === 0) throw new RangeError(`--only: no cell matches ${pattern}`);
if (values["no-install"]) forbidInstalling();

/** Whether threads are in this version: known from the Node that runs this, since each cell is held to it. */
async function hasThreads({ folder }: Project): Promise<boolean> {
  const code = `import("lowbit").then(async ({ init }) => {
    console.log("THREADS", (await init({ threads: 2 })).features.threads);
    process.exit();
  })`;
  const { stdout, stderr } = await run(process.execPath, ["-e", code], { cwd: folder });
  const threads = /THREADS (\d+)/.exec(stdout)?.[1];
  if (threads === undefined) throw new Error(`lowbit does not start here: ${tail(stdout + stderr)}`);
  return Number(threads) > 1;
}

function limited<T>(work: Promise<T>, seconds: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`not done after ${seconds} s`)), seconds * 1000);
    work.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

function describe({ version, report, note }: Passed): string {
  const parts = [version, note];
  if (report) {
    const { threaded, features, variants, kernels, checks } = report;
    const threads = threaded.threads === 1 ? "1 thread" : `${threaded.threads} threads`;
    parts.push(`${features.variant} (ran ${variants.join(" and ")}), dot ${features.dot}`);
    parts.push(`popcnt ${features.popcnt}, ${threads}, ${kernels} kernels, ${checks} checks`);
  }
  return parts.filter(Boolean).join(", ");
}

async function runCell(cell: Cell, context: Context): Promise<Outcome> {
  const started = performance.now();
  let outcome: Outcome;
  let detail: string;
  try {
    const result = await limited(cell.run(context), cell.seconds ?? 180);
    outcome = { cell, status: "passed", result };
    detail = describe(result);
  } catch (error) {
    detail = (error as Error).message;
    outcome = { cell, status: error instanceof Unavailable ? "skipped" : "failed", result: { note: detail } };
  }
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`${outcome.status}: ${cell.name}: ${detail} (${seconds} s)`);
  return outcome;
}

if (values.list) {
  for (const { name } of cells) console.log(name);
  process.exit();
}

const project = await makeProject();
const context: Context = { project, threads: await hasThreads(project) };
const outcomes: Outcome[] = [];
const waiting = [...cells.entries()];
await Promise.all(
  Array.from({ length: JOBS }, async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const [index, cell] = next;
      outcomes[index] = await runCell(cell, context);
    }
  }),
);

if (values.write) {
  if (values.only !== "") throw new RangeError("--write: needs a whole run, without --only");
  writeTables(outcomes);
}
const count = (status: Outcome["status"]): number => outcomes.filter((outcome) => outcome.status === status).length;
console.log(`\n${count("passed")} passed, ${count("failed")} failed, ${count("skipped")} skipped`);
process.exit(count("failed") > 0 ? 1 : 0);
