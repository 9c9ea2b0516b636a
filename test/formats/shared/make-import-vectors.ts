// Writes the golden vectors of the imported layouts anew: `tsx test/formats/shared/make-import-vectors.ts`. The layouts are those of
// published checkpoints, so what is there already should never change.

import { writeFileSync } from "node:fs";
import { importVectorFile, makeImportVectors } from "./import-vectors.ts";

const lines = makeImportVectors().map((vector) => JSON.stringify(vector));
writeFileSync(importVectorFile, `[\n${lines.join(",\n")}\n]\n`);
