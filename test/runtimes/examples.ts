import { cpSync } from "node:fs";
import { join } from "node:path";
import { root } from "./paths.ts";
import type { Project } from "./project.ts";

/** A copy of an example below the project, where its import of lowbit finds the package; returns its folder. */
export function copyExample({ folder }: Project, name: string, as = name): string {
  const to = join(folder, "examples", as);
  cpSync(join(root, "examples", name), to, { recursive: true });
  return to;
}
