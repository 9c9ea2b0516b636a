// The projections that are shipped (scripts/learn-projections.ts), decoded when they are first asked for.
import { projectionData } from "./projection-data.ts";
import type { Projection } from "./signs.ts";

export { projectionData };

/** `"<lifted>to<dims>"`: `lifted` signs make `dims` weights. */
export type ProjectionName = keyof typeof projectionData;

/** Entries are int16 multiples of this. */
const UNIT = 2 ** -14;

const decoded = /* @__PURE__ */ new Map<string, Projection>();

/** One of `projectionData`. */
export function shippedProjection(name: ProjectionName): Projection {
  const known = decoded.get(name);
  if (known) return known;
  const [lifted, dims] = name.split("to").map(Number) as [number, number];
  const bytes = Uint8Array.from(atob(projectionData[name].data), (char) => char.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  const matrix = Float32Array.from({ length: dims * lifted }, (_, i) => view.getInt16(2 * i, true) * UNIT);
  const projection = { dims, lifted, matrix };
  decoded.set(name, projection);
  return projection;
}

export function projectionNames(): ProjectionName[] {
  return Object.keys(projectionData) as ProjectionName[];
}

export function bitsOf(name: ProjectionName): number {
  const { lifted, dims } = shippedProjection(name);
  return lifted / dims;
}

/** Most bits first, then the least error. */
export function compare(a: ProjectionName, b: ProjectionName): number {
  return bitsOf(b) - bitsOf(a) || projectionData[a].mse - projectionData[b].mse;
}
