import type { FormatName } from "../../src/kernels/types.ts";
import { bitplaneFormat } from "./bitplane.ts";
import { withBranch } from "./branches.ts";
import { codebookFormat } from "./codebook.ts";
import { complexFormat, fairy2iFormat } from "./complex.ts";
import { denseFormat } from "./dense.ts";
import { latticeFormat } from "./e8p.ts";
import type { BenchFormat } from "./format.ts";
import { glvqFormat } from "./glvq.ts";
import { liftFormat } from "./lift.ts";
import { bcqFormat, binaryFormat, ternaryFormat } from "./planes.ts";
import { pvqFormat } from "./pvq.ts";
import { trellisFormats } from "./trellis.ts";
import { uniformFormat } from "./uniform.ts";

/** What is measured of each format of the registry. One that is new there does not compile without an entry here. */
const table: Readonly<Record<FormatName, readonly BenchFormat[]>> = {
  // Lifted weights are signs that meet projected activations.
  binary: [binaryFormat, liftFormat("16to8"), liftFormat("24to10"), liftFormat("24to8")],
  ternary: [ternaryFormat],
  bcq: [bcqFormat(2), bcqFormat(3), bcqFormat(3, 128), bcqFormat(4, 128, "offset")],
  // Lattice vectors without companding are uniform codes that meet projected activations.
  uniform2: [uniformFormat(2), uniformFormat(2, 128), glvqFormat(2, 8, false), glvqFormat(2, 32, false)],
  uniform3: [uniformFormat(3), uniformFormat(3, 128), glvqFormat(3, 8, false)],
  uniform4: [
    uniformFormat(4),
    uniformFormat(4, 128),
    glvqFormat(4, 8, false),
    uniformFormat(4, 128, "zeros"),
    withBranch(uniformFormat(4, 128), "rank16"),
    withBranch(uniformFormat(4, 128), "sparse"),
  ],
  uniform5: [uniformFormat(5), uniformFormat(5, 128)],
  uniform6: [uniformFormat(6), uniformFormat(6, 128)],
  uniform8: [uniformFormat(8), uniformFormat(8, 128)],
  // Groups of MXFP4 and of bitsandbytes.
  codebook2: [codebookFormat(2, "exact", 32)],
  codebook3: [codebookFormat(3, "exact", 32)],
  codebook4: [codebookFormat(4, "exact", 32)],
  codebook2_i16: [codebookFormat(2, "nf", 64)],
  codebook3_i16: [codebookFormat(3, "nf", 64)],
  codebook4_i16: [codebookFormat(4, "nf", 64)],
  codebook2_rows: [codebookFormat(2, "rows")],
  codebook3_rows: [codebookFormat(3, "rows")],
  codebook4_rows: [codebookFormat(4, "rows")],
  complex: [complexFormat("matrix"), complexFormat("rows"), complexFormat("tiles"), fairy2iFormat(1), fairy2iFormat(2)],
  e8p: [latticeFormat("e8p")],
  e81b: [latticeFormat("e81b")],
  glvq: [glvqFormat(2, 8, true), glvqFormat(2, 16, true), glvqFormat(2, 32, true)],
  ...trellisFormats,
  pvq8: [pvqFormat(8, 14)],
  pvq16: [pvqFormat(16, 12)],
  bitplane: [bitplaneFormat(1, 1), bitplaneFormat(2, 4)],
  dense32: [denseFormat(32)],
  dense16: [],
  denseb16: [denseFormat(16)],
};

export const benchFormats: readonly BenchFormat[] = Object.values(table).flat();
