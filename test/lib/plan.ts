// What a run of the tests consists of: files, or parts of files, that fit the filters.
//
// A filter is the name of a format or of a suite:
//
//   uniform4, codebook4_i16   a format of the registry: the files of its folder, and of every other suite the cases that
//   uniform, lift             name it; or a family, that is a folder of src/formats
//   kernels, matrix/with      the files whose path below test/ contains the word
//
// Several formats are a union, and so are several suites; of both, what is in both. Files say in their first lines how they
// want to be run:
//
//   // Cases name their formats.   a format filter takes the cases that name it (lib/suite.ts); else it takes no part of the file
//   // Split by format.            the same, and a run of the whole file is one of parts, a family each
//   // Runs alone: <why>           nothing else runs at the same time

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { formats as registry } from "../../src/kernels/formats.ts";
import { nearest } from "../../src/lib/options.ts";

/** Which cases of a file run. */
export type Selection =
  /** All. */
  | undefined
  /** Those that name one of these formats or families. */
  | { readonly anyOf: readonly string[] }
  /** Those whose first named family is this one; null: those that name none. */
  | { readonly family: string | null };

export interface Unit {
  /** Path below the directory of tests. */
  readonly file: string;
  readonly selection: Selection;
  readonly alone: boolean;
}

export interface Plan {
  readonly units: readonly Unit[];
  /** What is wrong with the filters. */
  readonly complaints: readonly string[];
}

/** Formats of the registry whose folder has another name. */
const FOLDERS: Readonly<Record<string, string>> = { e81b: "e8p" };

const names: readonly string[] = Object.keys(registry);
const folders: readonly string[] = readdirSync(new URL("../../src/formats", import.meta.url)).filter(
  (name) => name !== "shared",
);

function folderOf(word: string): string {
  return (
    FOLDERS[word] ?? folders.filter((folder) => word.startsWith(folder)).sort((a, b) => b.length - a.length)[0] ?? word
  );
}

/** The families of the registry, in its order. */
export const families: readonly string[] = [...new Set(names.map((name) => (name in FOLDERS ? name : folderOf(name))))];

const patterns = new Map<string, RegExp>();

/** A family meets all its formats, "uniform" in "gemv_uniform4_int8_16x8"; a format only itself, so "codebook4" not "codebook4_i16". */
function patternOf(word: string): RegExp {
  let pattern = patterns.get(word);
  if (!pattern) {
    const longer = names.filter((name) => name.startsWith(`${word}_`)).map((name) => name.slice(word.length));
    const end = names.includes(word) ? `(?![a-z0-9]${longer.map((suffix) => `|${suffix}`).join("")})` : "(?![a-z])";
    pattern = new RegExp(`(?<![a-z0-9])${word}${end}`, "i");
    patterns.set(word, pattern);
  }
  return pattern;
}

/** Cases of a format: what names it, or its family alone, "uniform" in "uniform, 4 bits" and not in "uniform3". */
function isOf(word: string, name: string): boolean {
  const family = folderOf(word);
  return patternOf(word).test(name) || new RegExp(`(?<![a-z0-9])${family}(?![a-z0-9_])`, "i").test(name);
}

/** Whether a case of this name, its suite's name in front, is one of a selection. */
export function isSelected(name: string, selection: Selection): boolean {
  if (selection === undefined) return true;
  if ("anyOf" in selection) return selection.anyOf.some((word) => isOf(word, name));
  return (families.find((family) => patternOf(family).test(name)) ?? null) === selection.family;
}

/** "kernels", "matrix" and "with" of "matrix/with.test.ts". */
function wordsOf(file: string): string[] {
  return file.replace(/\.test\.ts$/, "").split("/");
}

function header(directory: string, file: string): string {
  return /^(?:\/\/.*\n|\n)*/.exec(readFileSync(join(directory, file), "utf8"))?.[0] ?? "";
}

export function makePlan(directory: string, filters: readonly string[]): Plan {
  const files = existsSync(directory)
    ? readdirSync(directory, { recursive: true, encoding: "utf8" })
        .map((name) => name.replaceAll("\\", "/"))
        .filter((name) => name.endsWith(".test.ts") && !name.includes("fixtures/"))
        .sort()
    : [];
  const complaints: string[] = [];
  const wanted: string[] = [];
  const suites: string[] = [];
  const known = [...new Set([...names, ...folders, ...files.flatMap(wordsOf)])];
  for (const filter of filters) {
    if (names.includes(filter) || folders.includes(filter)) wanted.push(filter);
    else if (files.some((file) => file.includes(filter))) suites.push(filter);
    else {
      const near = nearest(filter, known);
      complaints.push(`no format, folder or test file matches "${filter}"${near ? `; the nearest is "${near}"` : ""}`);
    }
  }
  if (files.length === 0) complaints.push(`no test file in ${directory}`);
  const units: Unit[] = [];
  // A filter that means nothing must not widen the run to everything.
  if (filters.length > 0 && wanted.length + suites.length === 0) return { units, complaints };
  for (const file of files) {
    if (suites.length > 0 && !suites.some((suite) => file.includes(suite))) continue;
    const text = header(directory, file);
    const split = /^\/\/ Split by format\./m.test(text);
    const alone = /^\/\/ Runs alone\b/m.test(text);
    const inFolder = (word: string): boolean => wordsOf(file).some((part) => part === folderOf(word) || part === word);
    if (wanted.length === 0) {
      const parts: Selection[] = split ? [null, ...families].map((family) => ({ family })) : [undefined];
      units.push(...parts.map((selection) => ({ file, selection, alone })));
    } else if (wanted.some(inFolder)) units.push({ file, selection: undefined, alone });
    else if (split || /^\/\/ Cases name their formats\./m.test(text)) {
      units.push({ file, selection: { anyOf: wanted }, alone });
    }
  }
  if (units.length === 0 && complaints.length === 0) complaints.push(`nothing matches ${filters.join(" ")}`);
  return { units, complaints };
}

/** How a unit is called in the output. */
export function labelOf({ file, selection }: Unit): string {
  if (selection === undefined) return file;
  return `${file} (${"anyOf" in selection ? selection.anyOf.join(", ") : (selection.family ?? "the rest")})`;
}
