// Every generated file and what it should be.
import { join } from "node:path";
import { entrySources } from "./entries.ts";
import { kindsSource } from "./kinds.ts";
import { root } from "./paths.ts";

export interface Generated {
  /** From the root of the project. */
  readonly file: string;
  readonly text: string;
}

export function generated(): Generated[] {
  const { simd, relaxed } = entrySources(join(root, "assembly"));
  return [
    { file: "assembly/dot/kinds.ts", text: kindsSource() },
    { file: "assembly/simd.ts", text: simd },
    { file: "assembly/relaxed.ts", text: relaxed },
  ];
}
