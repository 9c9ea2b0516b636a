// Writes the golden vectors anew: `tsx test/kernels/make-vectors.ts`. They change only if the layout or the numerics contract
// changes, and then every packed file that users keep changes with them: look at the difference before committing it.

import { writeFileSync } from "node:fs";
import { makeVectors, vectorFile } from "./vectors.ts";

for (const format of ["binary", "ternary"] as const) {
  writeFileSync(vectorFile(format), `${JSON.stringify(makeVectors(format), null, 2)}\n`);
}
