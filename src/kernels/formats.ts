// The formats that kernels tell apart.
import { cores, type FormatName } from "./cores.ts";
import { type Activation, type Format, STRIP_ROWS, TILE_ROWS } from "./row.ts";

const all: Readonly<Record<string, Format>> = /* @__PURE__ */ Object.assign(
  {},
  .../* @__PURE__ */ Object.values(cores).map(({ formats }) => formats),
);

export const formats = all as Readonly<Record<FormatName, Format>>;

/**
 * Rows whose scales of a group are neighbours: those that a gemv kernel sums together, so that it reads scales in the order
 * in which they are stored.
 */
export function scaleRows({ layout }: Format): typeof STRIP_ROWS | typeof TILE_ROWS {
  return layout === "planes" || layout === "bits" || layout === "lattice" ? TILE_ROWS : STRIP_ROWS;
}

/** The format as it is stored for one contract: lookup tables of ternary weights want planes, dot products words. */
export function formatOf(name: FormatName, activation: Activation): Format {
  const format = formats[name];
  return (activation === "lut8" && format.lut8) || format;
}
