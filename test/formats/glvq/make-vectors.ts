// Writes the golden vectors of grouped lattice vectors anew: `tsx test/formats/glvq/make-vectors.ts`. They change only with the
// layout or the numerics contract, as those of make.ts do.

import { writeFileSync } from "node:fs";
import { glvqVectorFile, makeGlvqVectors } from "./vectors.ts";

const lines = makeGlvqVectors().map((vector) => JSON.stringify(vector));
writeFileSync(glvqVectorFile, `[\n${lines.join(",\n")}\n]\n`);
