// Writes the golden vectors of trellis codes anew: `tsx test/formats/trellis/make-vectors.ts`. They change only with the published
// layout or the numerics contract, as those of make.ts do.

import { writeFileSync } from "node:fs";
import { makeTrellisVectors, trellisVectorFile } from "./vectors.ts";

const lines = makeTrellisVectors().map((vector) => JSON.stringify(vector));
writeFileSync(trellisVectorFile, `[\n${lines.join(",\n")}\n]\n`);
