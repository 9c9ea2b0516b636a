// Writes the golden vectors of PVQ anew: `tsx test/vectors/make-pvq.ts`. They change only with the layout.

import { writeFileSync } from "node:fs";
import { makePvqVectors, pvqVectorFile } from "../lib/pvq-vectors.ts";

const lines = makePvqVectors().map((vector) => JSON.stringify(vector));
writeFileSync(pvqVectorFile, `[\n${lines.join(",\n")}\n]\n`);
