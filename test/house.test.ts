// The house itself: what may know what (ARCHITECTURE.md has the floors), that the oracle knows nothing of it, and that what
// is written about files is true.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";
import { fileURLToPath } from "node:url";
import { equal, is, ok } from "./lib/assert.ts";
import { suite } from "./lib/suite.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const t = suite("house");

/** Files below a folder of the repository, by their path from its root; nothing that is installed, built or downloaded. */
function filesOf(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = posix.join(folder, entry.name);
    if (entry.isFile()) return [path];
    return entry.isDirectory() && !/^(\.git|node_modules|dist|build|\.cache)$/.test(entry.name) ? filesOf(path) : [];
  });
}

const read = (path: string): string => readFileSync(join(root, path), "utf8");

/** The first fenced block of ARCHITECTURE.md that is called `floors`: a line a floor, the ground first. */
function readFloors(): string[][] {
  const block = /^```floors\n(.*?)^```$/ms.exec(read("ARCHITECTURE.md"))?.[1] ?? "";
  return block
    .trim()
    .split("\n")
    .map((line) => line.trim().split(/\s+/));
}

interface House {
  readonly floors: readonly (readonly string[])[];
  /** What a file imports, by paths below src/. */
  readonly imports: ReadonlyMap<string, readonly string[]>;
}

interface Room {
  readonly name: string;
  readonly floor: number;
}

/** The longest name that fits; "formats/*" is a room a folder. */
function roomOf(path: string, floors: House["floors"]): Room {
  const parts = path.split("/");
  for (let length = parts.length; length > 0; length--) {
    const name = parts.slice(0, length).join("/");
    for (const wanted of [name, [...parts.slice(0, length - 1), "*"].join("/")]) {
      const floor = floors.findIndex((rooms) => rooms.includes(wanted));
      if (floor >= 0) return { name, floor };
    }
  }
  throw new Error(`src/${path} is in no room of the list in ARCHITECTURE.md`);
}

/** Imports that run up, or to a neighbour on the same floor other than from format to format. */
function upwards({ floors, imports }: House): string[] {
  return [...imports].flatMap(([from, targets]) =>
    targets
      .filter((to) => {
        const [a, b] = [roomOf(from, floors), roomOf(to, floors)];
        return (
          b.floor > a.floor || (b.floor === a.floor && b.name !== a.name && !floors[a.floor]?.includes("formats/*"))
        );
      })
      .map((to) => `src/${from} imports src/${to}`),
  );
}

/** Chains of imports that come back to where they began. */
function circles({ imports }: House): string[] {
  const found: string[] = [];
  const state = new Map<string, "open" | "done">();
  const visit = (file: string, path: readonly string[]): void => {
    if (state.get(file) === "open") found.push([...path.slice(path.indexOf(file)), file].join(" > "));
    if (state.has(file)) return;
    state.set(file, "open");
    for (const to of imports.get(file) ?? []) visit(to, [...path, file]);
    state.set(file, "done");
  };
  for (const file of imports.keys()) visit(file, []);
  return found;
}

/** Static imports, exports from elsewhere and import() of relative paths, types too. */
function importsOf(text: string, path: string): string[] {
  return [...text.matchAll(/\b(?:from|import)\s*\(?\s*"(\.[^"]+)"/g)].map(([, to]) =>
    posix.join(posix.dirname(path), to as string),
  );
}

/** What the command line imports of the library, which it knows by its names, as paths below src/. */
function libraryOf(text: string): string[] {
  return [...text.matchAll(/\b(?:from|import)\s*\(?\s*"(#?lowbit)(?:\/([^"]+))?"/g)].map(([, name, path]) => {
    if (path === undefined) return "index.ts";
    return name === "lowbit" ? `${path}/index.ts` : `${path}.ts`;
  });
}

function readHouse(): House {
  const files = filesOf("src").filter((path) => path.endsWith(".ts"));
  const imports = files.map((path) => [path.slice(4), importsOf(read(path), path.slice(4))] as const);
  const above = filesOf("cli")
    .filter((path) => path.endsWith(".ts"))
    .map((path) => [path, [...importsOf(read(path), path), ...libraryOf(read(path))]] as const);
  return { floors: readFloors(), imports: new Map([...imports, ...above]) };
}

t("every file of src/ and cli/ has a floor, and no import runs up", () => {
  const house = readHouse();
  ok(
    [...house.imports].some(([from, to]) => from.startsWith("cli/") && to.includes("llm/index.ts")),
    "cli/ was read",
  );
  for (const targets of house.imports.values()) for (const to of targets) ok(house.imports.has(to), `${to} is there`);
  ok(house.floors.length >= 7 && house.imports.size > 100, "the list and the sources were read");
  for (const file of house.imports.keys()) roomOf(file, house.floors);
  equal(upwards(house), []);
});

t("no import comes back to where it began", () => {
  equal(circles(readHouse()), []);
});

t("an import that runs up, one to a neighbour and a circle are found", () => {
  const house: House = {
    floors: [["lib"], ["kernels", "numeric"], ["formats/shared"], ["formats/*"], ["index.ts"]],
    imports: new Map([
      ["lib/check.ts", ["lib/errors.ts", "kernels/types.ts"]],
      ["lib/errors.ts", []],
      ["kernels/types.ts", ["numeric/shape.ts"]],
      ["numeric/shape.ts", ["lib/check.ts"]],
      ["formats/shared/words.ts", ["formats/uniform/index.ts"]],
      ["formats/uniform/index.ts", ["formats/shared/planes.ts", "lib/check.ts"]],
      ["formats/lift/index.ts", ["formats/uniform/index.ts"]],
      ["index.ts", ["formats/lift/index.ts"]],
    ]),
  };
  equal(upwards(house), [
    "src/lib/check.ts imports src/kernels/types.ts",
    "src/kernels/types.ts imports src/numeric/shape.ts",
    "src/formats/shared/words.ts imports src/formats/uniform/index.ts",
  ]);
  equal(circles(house), ["lib/check.ts > kernels/types.ts > numeric/shape.ts > lib/check.ts"]);
  equal(
    libraryOf(`import { a } from "lowbit"; import("lowbit/llm"); import b from "#lowbit/lib/options"; import "other";`),
    ["index.ts", "llm/index.ts", "lib/options.ts"],
  );
  equal(
    importsOf(`import { a } from "./a.ts";\nexport * from "../b.ts";\nimport("./c.ts"); import d from "d";`, "x/y.ts"),
    ["x/a.ts", "b.ts", "x/c.ts"],
  );
});

t("the oracle imports nothing but itself", () => {
  for (const path of filesOf("test/reference").filter((name) => name.endsWith(".ts"))) {
    for (const [, from] of read(path).matchAll(/\b(?:from|import)\s*\(?\s*"([^"]+)"/g)) {
      ok((from as string).startsWith("./"), `${path} imports ${from}`);
    }
  }
});

const TOP = ["assembly", "bench", "bin", "cli", "docs", "examples", "scripts", "src", "test"];
/** Paths of the repository, as comments and pages name them: those that begin with a folder of its root. */
function pathsIn(text: string): string[] {
  const pattern = new RegExp(
    `(?<![\\w./@-])(?:\\.\\./)*(?:${TOP.join("|")})/[\\w./{},*-]*\\.(?:ts|mjs|js|md|json|c)\\b`,
    "g",
  );
  return [...text.matchAll(pattern)].map(([path]) => path.replace(/^(?:\.\.\/)+/, ""));
}

/** "a/{b,c}.ts" is two paths. */
function expanded(path: string): string[] {
  const match = /^(.*?)\{([^}]*)\}(.*)$/.exec(path);
  if (!match) return [path];
  const [, before, middle, after] = match as unknown as [string, string, string, string];
  return middle.split(",").flatMap((part) => expanded(`${before}${part}${after}`));
}

t("files that comments and pages name are there", () => {
  const missing: string[] = [];
  for (const file of filesOf(".").filter((path) => /\.(ts|mjs|md)$/.test(path))) {
    // What was is not what is; examples of paths above are no paths.
    if (file === "CHANGELOG.md" || file === "test/house.test.ts") continue;
    for (const path of pathsIn(read(file)).flatMap(expanded)) {
      if (path.includes("*")) continue;
      const places = [path, posix.join(posix.dirname(file), path)];
      if (!places.some((place) => existsSync(join(root, place)))) missing.push(`${file}: ${path}`);
    }
  }
  equal(missing, []);
  equal(pathsIn("see `src/nowhere.ts`, ../docs/a.md and x/src/b.ts"), ["src/nowhere.ts", "docs/a.md"]);
  equal(expanded("src/{a,b}.ts"), ["src/a.ts", "src/b.ts"]);
});

/** What `npm pack` puts into the tarball, by the list of package.json and by what is always there. */
function isShipped(path: string): boolean {
  const { files } = JSON.parse(read("package.json")) as { files: string[] };
  const always = ["package.json", "README.md", "LICENSE"];
  return [...always, ...files].some((name) => path === name || path.startsWith(`${name}/`));
}

/** Targets of links and images that are paths, without their anchors. */
function linksIn(markdown: string): string[] {
  const prose = markdown.replace(/^```.*?^```$/gms, "");
  return [...prose.matchAll(/\]\(\s*<?([^)\s>]+)/g)]
    .map(([, target]) => (target as string).replace(/#.*$/, ""))
    .filter((target) => target !== "" && !/^[a-z]+:/i.test(target));
}

t("links of pages lead to files, and those of the package to files of the package", () => {
  const dead: string[] = [];
  const pages = filesOf(".").filter((path) => path.endsWith(".md"));
  ok(pages.filter(isShipped).length > 10, "pages are shipped");
  for (const page of pages) {
    for (const link of linksIn(read(page))) {
      const path = posix.join(posix.dirname(page), link).replace(/\/$/, "");
      if (!existsSync(join(root, path))) dead.push(`${page}: ${link}: there is no such file`);
      else if (isShipped(page) && !isShipped(path)) dead.push(`${page}: ${link}: it is not in the package`);
    }
  }
  equal(dead, []);
  equal(linksIn("[a](b.md#c) ![d](e.png) [f](https://g.h) [i](#j)\n```\n[k](l.md)\n```\n"), ["b.md", "e.png"]);
});

t("the package says of itself what the README says", () => {
  const { description } = JSON.parse(read("package.json")) as { description: string };
  const bits = /\d to \d bits/;
  const said = bits.exec(description)?.[0];
  ok(said !== undefined, description);
  is(bits.exec(read("README.md"))?.[0], said);
});
