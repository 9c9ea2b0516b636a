// Writes the golden vectors of PVQ anew: `tsx test/formats/pvq/make-vectors.ts`. They change only with the layout.

import { writeFileSync } from "node:fs";
import { makePvqVectors, pvqVectorFile } from "./vectors.ts";

const lines = makePvqVectors().map((vector) => JSON.stringify(vector));
writeFileSync(pvqVectorFile, `[\n${lines.join(",\n")}\n]\n`);
