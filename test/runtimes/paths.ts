import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../..", import.meta.url));
export const here = join(root, "test", "runtimes");
/** What is made anew by each run, and removed at its end. */
export const work = join(root, "build", "runtimes", `work-${process.pid}`);
/** What is kept: runtimes and bundlers. */
export const cache = join(root, "build", "runtimes", "cache");
