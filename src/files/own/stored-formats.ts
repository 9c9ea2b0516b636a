// What the bytes of each format of the registry mean, for whoever finds them in a file.
import { bitplaneReader } from "../../formats/bitplane/reader.ts";
import { tableReader } from "../../formats/codebook/reader.ts";
import { complexReader } from "../../formats/complex/planes.ts";
import { denseReader } from "../../formats/dense/reader.ts";
import { latticeReader } from "../../formats/e8p/matrix.ts";
import { GLVQ_DIMENSIONS } from "../../formats/glvq/group.ts";
import { vectorReader } from "../../formats/glvq/reader.ts";
import { checkTable, tableBytes } from "../../formats/glvq/tables.ts";
import { minifloatReader } from "../../formats/minifloat/reader.ts";
import { tableFor, typeStored } from "../../formats/minifloat/store.ts";
import { MAX_PULSES, pvqCode } from "../../formats/pvq/bytes.ts";
import { pyramidReader } from "../../formats/pvq/reader.ts";
import { planeReader } from "../../formats/shared/plane-matrix.ts";
import { uniformReader } from "../../formats/shared/uniform-matrix.ts";
import { bitsStored, codebookStored, trellisReader } from "../../formats/trellis/reader.ts";
import { CODEBOOKS } from "../../formats/trellis/tables.ts";
import { formatOf, formats } from "../../kernels/formats.ts";
import type { FormatName } from "../../kernels/types.ts";
import { rangeError } from "../../lib/check.ts";
import type { StoredFormat, StoredFormats } from "../../matrix/restore.ts";

const codes: StoredFormat = { reader: uniformReader };
const planes: StoredFormat = { reader: planeReader };
const numbers: StoredFormat = { reader: denseReader };
const lattice: StoredFormat = { reader: latticeReader };
const wholeNumbers: StoredFormat = { reader: tableReader, tables: () => 32 };
const rows: StoredFormat = { reader: tableReader, tables: ({ paddedRows }) => 32 * paddedRows };

/** Entries less the least of them, which operand 2 of a relaxed dot product takes up to 127; then the least, and zeros. */
const bytes: StoredFormat = {
  ...wholeNumbers,
  checkTables: (where, table) => {
    if (table.subarray(0, 16).some((entry) => entry > 127))
      throw rangeError(where, "entries in a range of 127", "more");
    if (table.subarray(20).some((byte) => byte !== 0)) throw rangeError(where, "zeros behind the entries", "others");
  },
};

const minifloat: StoredFormat = { reader: minifloatReader };
const magnitudes: StoredFormat = {
  ...minifloat,
  tables: () => 32,
  checkTables: (where, table, { format }) => {
    const expected = tableFor(typeStored(format), format);
    if (table.some((byte, i) => byte !== expected?.[i])) throw rangeError(where, `those of ${format}`, "others");
  },
};

const trellis: StoredFormat = {
  reader: trellisReader,
  tables: () => 16,
  checkTables: (where, table, { format }) => {
    const codebook = codebookStored(table);
    const bits = new DataView(table.buffer, table.byteOffset, table.length).getBigUint64(8, true);
    if (codebook && CODEBOOKS[codebook].halves === format.endsWith("_i16") && bits === BigInt(bitsStored(format)))
      return;
    throw rangeError(where, `a codebook of ${format}`, "another");
  },
};

function pyramid(size: 8 | 16): StoredFormat {
  return {
    reader: pyramidReader,
    shared: (where, { pulses }) => {
      const possible = pulses !== undefined && pulses >= 1 && pulses <= MAX_PULSES;
      const code = possible ? pvqCode(size, pulses) : undefined;
      if (code) return code.tables;
      throw rangeError(`${where}: pulses`, "as many as vectors have codes for", pulses);
    },
  };
}

const known: Readonly<Partial<Record<FormatName, StoredFormat>>> = {
  binary: planes,
  bcq: planes,
  // For lut8 as planes.
  ternary: {
    reader: (stored) =>
      formatOf(stored.format, stored.activation).layout === "planes" ? planeReader(stored) : uniformReader(stored),
  },
  complex: { reader: complexReader },
  bitplane: { reader: bitplaneReader },
  uniform2: codes,
  uniform3: codes,
  uniform4: codes,
  uniform5: codes,
  uniform6: codes,
  uniform8: codes,
  codebook2: bytes,
  codebook3: bytes,
  codebook4: bytes,
  codebook2_i16: wholeNumbers,
  codebook3_i16: wholeNumbers,
  codebook4_i16: wholeNumbers,
  codebook2_rows: rows,
  codebook3_rows: rows,
  codebook4_rows: rows,
  minifloat5: magnitudes,
  minifloat5_i16: magnitudes,
  minifloat6: magnitudes,
  minifloat6_i16: magnitudes,
  minifloat_e4m3: minifloat,
  minifloat_e4m3i: minifloat,
  minifloat_e5m2: minifloat,
  e8p: lattice,
  e81b: lattice,
  glvq: {
    reader: vectorReader,
    tables: ({ groups }) => GLVQ_DIMENSIONS.map((d) => tableBytes(groups, d)),
    checkTables: checkTable,
  },
  pvq8: /* @__PURE__ */ pyramid(8),
  pvq16: /* @__PURE__ */ pyramid(16),
  dense32: numbers,
  dense16: numbers,
  denseb16: numbers,
};

/** All formats of the registry. Trellis formats are all alike. */
export const storedFormats: StoredFormats = /* @__PURE__ */ Object.fromEntries(
  /* @__PURE__ */ Object.keys(formats).flatMap((name) => {
    const row = name.startsWith("trellis") ? trellis : known[name as FormatName];
    return row ? [[name, row]] : [];
  }),
) as Record<FormatName, StoredFormat>;
