// How a test file declares its cases:
//
//   const t = suite("gemv");
//   t("adds up", () => { ... });
//   t.skip("relaxed", "this runtime has no relaxed SIMD");
//
// A thin layer over uvu's suites: a skip has a reason, and nothing needs `.run()`, which is the call that is forgotten.

import { suite as uvuSuite } from "uvu";

export interface Suite {
  (name: string, body: () => void | Promise<void>): void;
  /** A case that cannot run here; the reason is printed. */
  skip(name: string, reason: string): void;
  /** Runs once before the first case. */
  before(body: () => void | Promise<void>): void;
  /** Runs once after the last case, also when cases failed. */
  after(body: () => void | Promise<void>): void;
}

/** What the runner sees of a suite. */
export interface Registered {
  readonly name: string;
  /** All cases, and those of them that are to run. */
  declared: number;
  cases: number;
  readonly skipped: { name: string; reason: string }[];
  /** Hands the cases to uvu's queue. */
  enqueue(): void;
}

if ((globalThis as { UVU_DEFER?: number }).UVU_DEFER === undefined) {
  throw new Error("a test file runs nothing by itself: use `tsx test/run.ts <filter>`");
}

let registered: Registered[] = [];

let isWanted = (_: string): boolean => true;

/** From now on only cases are registered whose name, their suite's in front, `wanted` takes. */
export function select(wanted: (name: string) => boolean): void {
  isWanted = wanted;
}

/** Whether a case of this name, its suite's in front, is to run: for what is computed for many cases at once. */
export function isTaken(name: string): boolean {
  return isWanted(name);
}

/** The suites declared since the last call. */
export function takeRegistered(): Registered[] {
  const taken = registered;
  registered = [];
  return taken;
}

export function suite(name: string): Suite {
  const inner = uvuSuite(name);
  const entry: Registered = {
    name,
    declared: 0,
    cases: 0,
    skipped: [],
    // Hooks of a suite of which no case runs do not run either.
    enqueue: () => {
      if (entry.cases > 0) inner.run();
    },
  };
  registered.push(entry);

  const declare = (caseName: string, body: () => void | Promise<void>): void => {
    entry.declared++;
    if (!isWanted(`${name} ${caseName}`)) return;
    entry.cases++;
    inner(caseName, () => body());
  };
  declare.skip = (caseName: string, reason: string): void => {
    entry.declared++;
    if (isWanted(`${name} ${caseName}`)) entry.skipped.push({ name: caseName, reason });
  };
  declare.before = (body: () => void | Promise<void>): void => inner.before(() => body());
  declare.after = (body: () => void | Promise<void>): void => inner.after(() => body());
  return declare;
}
