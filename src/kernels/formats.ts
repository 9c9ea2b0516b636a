// The formats that kernels tell apart.
import { cores, type FormatName } from "./cores.ts";
import type { Activation, Format } from "./row.ts";

const all: Readonly<Record<string, Format>> = /* @__PURE__ */ Object.assign(
  {},
  .../* @__PURE__ */ Object.values(cores).map(({ formats }) => formats),
);

export const formats = all as Readonly<Record<FormatName, Format>>;

/** The format as it is stored for one contract: lookup tables of ternary weights want planes, dot products words. */
export function formatOf(name: FormatName, activation: Activation): Format {
  const format = formats[name];
  return (activation === "lut8" && format.lut8) || format;
}
