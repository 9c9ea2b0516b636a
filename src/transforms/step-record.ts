// Steps without their numbers, as files have them, and how many numbers those are.
import type { HadamardChoice } from "../numeric/hadamard.ts";

/** A step without its numbers. */
export interface StepRecord {
  readonly kind: "scale" | "hadamard" | "left" | "right" | "resize";
  readonly block?: number;
  readonly choice?: HadamardChoice | undefined;
  readonly inverse?: boolean;
  readonly length?: number;
  readonly out?: number;
  readonly inner?: number;
  readonly groups?: number;
  readonly runs?: number;
}

/** A number for the length of a vector that a step makes of one of `from`, and how many numbers the step has. */
export function measure(step: StepRecord, from: number): { readonly to: number; readonly count: number } {
  const { kind, length = from, out = 1, inner = 1, groups = 1 } = step;
  if (kind === "scale") return { to: from, count: from };
  if (kind === "resize") return { to: length, count: 0 };
  if (kind === "hadamard") return { to: from, count: 0 };
  return { to: (from / inner) * out, count: (kind === "right" ? groups : 1) * out * inner };
}
