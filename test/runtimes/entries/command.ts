// Node, Deno, Bun: prints the report and ends by itself.
import { conform } from "../conformance.ts";
import golden from "../golden.json" with { type: "json" };

console.log(`REPORT ${JSON.stringify(await conform(golden))}`);
