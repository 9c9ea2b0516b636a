// Every type that a public signature names can be named by who calls it: the declarations of an entry point, and of the
// formats that it exports whole, import no type that neither they nor another entry point of the package export.
import { readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { equal, ok } from "./assert.ts";
import { suite } from "./suite.ts";

const t = suite("exported types");
const root = fileURLToPath(new URL("../..", import.meta.url));
const { exports: entries } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  exports: Record<string, string | { types: string }>;
};
const textOf = (file: string): string => readFileSync(join(root, file), "utf8").replace(/\/\*[\s\S]*?\*\//g, "");
const beside = (file: string, to: string): string => normalize(join(dirname(file), to)).replace(/\.[jt]s$/, ".d.ts");

/** `a, type b as c` as pairs of what is taken and what it is called. */
function namesIn(list: string): [from: string, as: string][] {
  return list
    .split(",")
    .map((one) => one.trim().replace(/^type /, ""))
    .filter((one) => one !== "")
    .map((one) => one.split(/\s+as\s+/))
    .map(([from, as]) => [from as string, as ?? (from as string)]);
}

/** What a declaration file hands on by name, with where it has it from, and the files it exports whole. */
function exportsOf(file: string): { names: Map<string, string>; whole: string[] } {
  const text = textOf(file);
  const names = new Map<string, string>();
  const whole: string[] = [];
  for (const [, name] of text.matchAll(
    /^export (?:declare )?(?:abstract )?(?:async )?(?:function|const|class|interface|type|enum) (\w+)/gm,
  )) {
    names.set(name as string, file);
  }
  for (const [, list, from] of text.matchAll(/^export (?:type )?\{([^}]*)\}(?: from "(\.[^"]+)")?/gm)) {
    for (const [, as] of namesIn(list as string)) names.set(as, from === undefined ? file : beside(file, from));
  }
  for (const [, from] of text.matchAll(/^export \* (?:as \w+ )?from "(\.[^"]+)"/gm))
    whole.push(beside(file, from as string));
  return { names, whole };
}

/** The part of a declaration file that declares one of `names`: interfaces with their bodies, signatures, types. */
function declarationsOf(file: string, names: ReadonlySet<string>): string {
  const parts = textOf(file).split(/^(?=export |declare |interface |type )/m);
  return parts.filter((part) => names.has(/^(?:export )?(?:declare )?\w+ (\w+)/.exec(part)?.[1] ?? "")).join("");
}

const dtsOf = Object.values(entries).flatMap((target) => (typeof target === "string" ? [] : [normalize(target.types)]));

/** What some entry point exports, or a format in it. */
const anywhere = new Set(
  dtsOf.flatMap((entry) => {
    const { names, whole } = exportsOf(entry);
    return [...names.keys(), ...whole.flatMap((file) => [...exportsOf(file).names.keys()])];
  }),
);

/**
 * LanguageModel.create takes what load() has read: it is for load() alone. Constructors of Tensor and Conv2d are not exported but
 * stand in the declarations of their types.
 */
const INTERNAL = new Set(["Checkpoint", "ModelTokenizer", "ConvEngine", "Spec"]);

function missing(entry: string): string[] {
  const own = exportsOf(entry);
  const found: string[] = [];
  const look = (file: string, names: ReadonlySet<string>): void => {
    const declared = declarationsOf(file, names);
    const text = textOf(file);
    const imported = [...text.matchAll(/^import (?:type )?\{([^}]*)\} from "\.[^"]+"/gm)].flatMap(([, list]) =>
      namesIn(list as string).map(([, as]) => as),
    );
    const used = imported.filter((name) => new RegExp(`\\b${name}\\b`).test(declared));
    const inline = [...declared.matchAll(/import\("\.[^"]+"\)\.(\w+)/g)].map(([, name]) => name as string);
    for (const name of [...used, ...inline]) {
      // Names of values begin with a small letter.
      if (/^[A-Z]/.test(name) && !anywhere.has(name) && !INTERNAL.has(name)) found.push(`${file}: ${name}`);
    }
  };
  const byFile = new Map<string, Set<string>>();
  for (const [name, file] of own.names) byFile.set(file, (byFile.get(file) ?? new Set()).add(name));
  for (const [file, names] of byFile) look(file, names);
  for (const file of own.whole) {
    const inner = exportsOf(file);
    const homes = new Map<string, Set<string>>();
    for (const [name, from] of inner.names) homes.set(from, (homes.get(from) ?? new Set()).add(name));
    for (const [from, names] of homes) look(from, names);
  }
  return [...new Set(found)].sort();
}

for (const [name, target] of Object.entries(entries)) {
  if (typeof target === "string") continue;
  t(`lowbit${name.slice(1)} exports the types that its signatures name`, () => {
    const entry = normalize(target.types);
    ok(exportsOf(entry).names.size + exportsOf(entry).whole.length > 0);
    equal(missing(entry), []);
  });
}
