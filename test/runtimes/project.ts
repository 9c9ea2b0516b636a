// The package as its users get it: packed, installed into an empty project, and the conformance module compiled beside it.
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { here, root, work } from "./paths.ts";
import { runWell } from "./process.ts";

export interface Project {
  readonly tarball: string;
  /** Has node_modules/lowbit, and conformance.js, golden.json and entries/*.js. */
  readonly folder: string;
}

const tsc = join(root, "node_modules", ".bin", "tsc");

export async function makeProject(): Promise<Project> {
  process.on("exit", () => rmSync(work, { recursive: true, force: true }));
  mkdirSync(work, { recursive: true });
  await runWell(process.execPath, [...process.execArgv, join(root, "scripts", "build.ts")], {
    cwd: root,
    seconds: 600,
  });
  // The build has just run; prepack would do it again.
  const packed = await runWell("npm", ["pack", "--ignore-scripts", "--silent", "--pack-destination", work], {
    cwd: root,
  });
  const tarball = join(work, packed.trim());

  const folder = join(work, "project");
  await makeConsumer(folder, tarball);
  const sources = join(folder, "source");
  for (const name of ["conformance.ts", "cases.ts", "golden.json", "entries"]) {
    cpSync(join(here, name), join(sources, name), { recursive: true });
  }
  const options = {
    ...{ target: "es2022", module: "nodenext", lib: ["es2023", "dom"], types: [], strict: true },
    ...{ rewriteRelativeImportExtensions: true, resolveJsonModule: true, verbatimModuleSyntax: true },
    ...{ rootDir: "source", outDir: "." },
  };
  writeFileSync(
    join(folder, "tsconfig.json"),
    JSON.stringify({ compilerOptions: options, include: ["source"], exclude: [] }),
  );
  await runWell(tsc, ["-p", folder]);
  return { tarball, folder };
}

/** An empty project with lowbit in it. */
export async function makeConsumer(folder: string, tarball: string): Promise<void> {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), '{ "name": "consumer", "private": true, "type": "module" }\n');
  await runWell("npm", ["install", "--offline", "--ignore-scripts", "--no-audit", "--no-fund", tarball], {
    cwd: folder,
  });
}

/** Type-checks sources of a consumer. */
export async function checkTypes(folder: string): Promise<void> {
  await runWell(tsc, ["-p", folder]);
}

type Target = string | { readonly [condition: string]: Target };

function defaultOf(target: Target): string {
  return typeof target === "string" ? target : defaultOf(target.default as Target);
}

/** What a page without a bundler needs to import lowbit: an import map of the package's exports and imports. */
export function importMap({ folder }: Project): string {
  const base = "/node_modules/lowbit";
  const manifest = JSON.parse(readFileSync(join(folder, base, "package.json"), "utf8")) as {
    exports: Record<string, Target>;
    imports: Record<string, Target>;
  };
  const imports: Record<string, string> = {};
  const add = (name: string, target: string): void => {
    const [before, after] = target.slice(1).split("*") as [string, string | undefined];
    if (after === undefined) {
      imports[name] = base + before;
      return;
    }
    for (const file of readdirSync(join(folder, base, before))) {
      const star = file.endsWith(after) ? file.slice(0, -after.length) : "";
      if (/^[\w-]+$/.test(star)) imports[name.replace("*", star)] = `${base}${before}${star}${after}`;
    }
  };
  for (const [name, target] of Object.entries(manifest.exports)) add(`lowbit${name.slice(1)}`, defaultOf(target));
  for (const [name, target] of Object.entries(manifest.imports)) add(name, defaultOf(target));
  return JSON.stringify({ imports });
}
