// Writes the golden vectors of complex weights anew: `tsx test/formats/complex/make-vectors.ts`. They change only with the layout or
// the numerics contract, as those of make.ts do.

import { writeFileSync } from "node:fs";
import { complexVectorFile, makeComplexVectors } from "./vectors.ts";

const lines = makeComplexVectors().map((vector) => JSON.stringify(vector));
writeFileSync(complexVectorFile, `[\n${lines.join(",\n")}\n]\n`);
