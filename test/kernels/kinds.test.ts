// Kinds of codes that gemm unpacks: TypeScript and AssemblyScript mean the same by a number, and 16-bit lanes hold what a kind says.

import { readFileSync } from "node:fs";
import { cores } from "../../src/kernels/cores.ts";
import { formats } from "../../src/kernels/formats.ts";
import { kindNumber, kinds } from "../../src/kernels/kinds.ts";
import { kernels } from "../../src/kernels/registry.ts";
import { depthOf, type Format } from "../../src/kernels/types.ts";
import { equal, is, ok } from "../lib/assert.ts";
import { suite } from "../lib/suite.ts";

const source = readFileSync(new URL("../../assembly/dot/kinds.ts", import.meta.url), "utf8");
const t = suite("kinds");

t("both languages have the same numbers", () => {
  const constants = [...source.matchAll(/^export const (\w+): i32 = (\d+);$/gm)].map(([, name, value]) => [
    name,
    Number(value),
  ]);
  equal(
    constants,
    Object.keys(kinds).map((name) => [name, kindNumber(name)]),
  );
  is(new Set(constants.map(([, value]) => value)).size, constants.length);
});

t("no two cores have a name in common", () => {
  for (const part of ["formats", "kinds"] as const) {
    const names = Object.values(cores).flatMap((core) => Object.keys(core[part]));
    equal(names, [...new Set(names)], part);
  }
  equal([...new Set(kernels.map(({ name }) => name))].length, kernels.length);
});

t("every kernel is of a format that a core has, and gemm has a kind of the width that it multiplies", () => {
  for (const { name, op, format, activation, export: from = name } of kernels) {
    const row: Format | undefined = formats[format];
    ok(row, `${name}: no format ${format}`);
    if (op === "gemv" || !/^gemm_(int8|wide)_/.test(from)) continue;
    const kind = kinds[row.kind ?? ""];
    ok(kind, `${name}: no kind ${row.kind}`);
    is(kind.codes, from.startsWith("gemm_wide") ? "int16" : "bytes", `${name} ${activation}`);
  }
});

t("each kind is unpacked once, by the function of its width", () => {
  const [, bytes = "", int16 = ""] = /function unpack\((.*)function unpackWide\((.*)/s.exec(source) ?? [];
  for (const [name, { codes }] of Object.entries(kinds)) {
    const count = (text: string): number => text.match(new RegExp(`case ${name}:`, "g"))?.length ?? 0;
    equal([count(bytes), count(int16)], codes === "bytes" ? [1, 0] : [0, 1], name);
  }
});

t("depth: sums stay in 16 bits, and one step more of twice as many would not", () => {
  for (const [name, { largest, depth: fewer }] of Object.entries(kinds)) {
    if (typeof largest !== "number") continue;
    ok(fewer === undefined || fewer < depthOf(largest), `${name}: a depth that is not fewer`);
    const depth = depthOf(largest);
    ok(depth >= 1 && depth <= 64, name);
    ok(2 * 127 * largest * depth <= 32767, name);
    ok(depth === 64 || 2 * 127 * largest * 2 * depth > 32767, name);
    ok(largest <= 127, `${name}: operand 2 of a relaxed dot product`);
  }
});
