// Writes the golden vectors of lattice codes, lifted weights and transforms anew: `tsx test/numeric/make-vectors.ts`. They
// change only with a layout, the numerics contract or a projection, as those of make.ts do.

import { writeFileSync } from "node:fs";
import { latticeVectorFile, makeLatticeVectors } from "./vectors.ts";

// A line for each vector.
const sections = Object.entries(makeLatticeVectors()).map(([name, value]) => {
  if (!Array.isArray(value)) return `${JSON.stringify(name)}:${JSON.stringify(value)}`;
  return `${JSON.stringify(name)}:[\n${value.map((vector) => JSON.stringify(vector)).join(",\n")}\n]`;
});
writeFileSync(latticeVectorFile, `{\n${sections.join(",\n")}\n}\n`);
