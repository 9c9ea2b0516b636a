// Codes of a table, back from memory.
import type { Reader } from "../../matrix/spec.ts";
import { wordReader } from "../shared/word-matrix.ts";
import { tableEntry } from "./stored.ts";

export const tableReader: Reader = /* @__PURE__ */ wordReader(
  ({ format }) =>
    (code, row, tables) =>
      tableEntry(tables, format, code, row),
);
