// Rows of assembly/codebook.
import type { IndexBits } from "./types.ts";

export const INDEX_BITS: readonly IndexBits[] = [2, 3, 4];
