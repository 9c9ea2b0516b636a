// The kinds of codes that gemm unpacks: names here, constants of the same names in assembly/dot/kinds.ts.
import { cores } from "./cores.ts";
import type { Kind } from "./row.ts";

export const kinds: Readonly<Record<string, Kind>> = /* @__PURE__ */ Object.assign(
  {},
  .../* @__PURE__ */ Object.values(cores).map((core) => core.kinds),
);

/** What gemm is told: 1 for the first kind, 0 for a format without. Nothing that is stored depends on it. */
export function kindNumber(name: string | undefined): number {
  return name === undefined ? 0 : Object.keys(kinds).indexOf(name) + 1;
}
