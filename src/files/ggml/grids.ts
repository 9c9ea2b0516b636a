// Points of a grid in the order of their indices.
import type { GridData } from "./grid-data.ts";

/** [points][dims], each the number of a level. */
export type Grid = Uint8Array;

const known = /* @__PURE__ */ new WeakMap<GridData, Grid>();

export function gridOf(data: GridData): Grid {
  const grid = known.get(data) ?? unfold(data);
  known.set(data, grid);
  return grid;
}

function unfold({ dims, levels, points, bitmap }: GridData): Grid {
  const bits = atob(bitmap);
  const grid = new Uint8Array(points * dims);
  let to = 0;
  for (let point = 0; point < 8 * bits.length; point++) {
    if (((bits.charCodeAt(point >> 3) >> (point & 7)) & 1) === 0) continue;
    for (let rest = point, k = 0; k < dims; k++) {
      grid[to++] = rest % levels;
      rest = Math.floor(rest / levels);
    }
  }
  return grid;
}
