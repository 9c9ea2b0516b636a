// All kernels, and which of them does a job.
import { cores, type FormatName } from "./cores.ts";
import type { Activation, Machine, Kernel as Row, Variant } from "./row.ts";

type Kernel = Row<FormatName>;

export const kernels = /* @__PURE__ */ Object.values(cores).flatMap((core) => core.kernels) as readonly Kernel[];

/** The rows that can do a job on a variant, the default first. */
export function candidates(
  op: Kernel["op"],
  format: FormatName,
  activation: Activation,
  variant: Variant,
): readonly Kernel[] {
  return kernels.filter(
    (k) =>
      k.op === op &&
      k.format === format &&
      k.activation === activation &&
      (k.needs === "simd128" || variant === "relaxed"),
  );
}

/** The twins that suit what features.dot says, the fastest first: measured, or counted (assembly/dot/README.md). */
const TWINS: Readonly<Record<Machine["dot"], readonly Kernel["dot"][]>> = {
  i16: [],
  i32: ["i32"],
  u8: ["u8", "byte", "i32"],
  s8: ["byte", "i32"],
  mul: ["mul"],
};

/** Of the rows that can do a job the one that suits a machine. Only twins ask what machine it is. */
export function suitable(rows: readonly Kernel[], machine: Machine): Kernel | undefined {
  for (const twin of TWINS[machine.dot]) {
    const row = rows.find(({ dot }) => dot === twin);
    if (row) return row;
  }
  return rows.find(({ popcnt }) => popcnt && popcnt === machine.popcnt) ?? rows.find(({ dot }) => dot === undefined);
}

/** The name of a kernel's export. */
export function exportOf(kernel: Kernel): string {
  return kernel.export ?? kernel.name;
}
