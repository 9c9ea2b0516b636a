// Writes the golden vectors of bit planes anew: `tsx test/formats/bitplane/make-vectors.ts`. They change only with the layout or the
// numerics contract, as those of make.ts do.

import { writeFileSync } from "node:fs";
import { bitplaneVectorFile, makeBitplaneVectors } from "./vectors.ts";

const lines = makeBitplaneVectors().map((vector) => JSON.stringify(vector));
writeFileSync(bitplaneVectorFile, `[\n${lines.join(",\n")}\n]\n`);
