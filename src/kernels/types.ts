// What the rest of src/ and the tests know of rows.
import type { FormatName } from "./cores.ts";
import type { Kernel as Row } from "./row.ts";

export type { FormatName } from "./cores.ts";
export * from "./row.ts";
export type Kernel = Row<FormatName>;
