// examples/vite/main.js built by each bundler: both binaries must become chunks of their own, and a page must ask for one.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { type Browser, chromium, visit, webkit } from "../browser.ts";
import type { Cell } from "../cell.ts";
import { copyExample } from "../examples.ts";
import { installPackages, versionOf } from "../install.ts";
import { work } from "../paths.ts";
import { runWell } from "../process.ts";
import { ISOLATED } from "../server.ts";

interface Bundler {
  readonly name: string;
  readonly packages: readonly string[];
  /** Of the package that has the version. */
  readonly main: string;
  /** The command in node_modules/.bin and its arguments, in the folder of the application. */
  command(out: string, modules: string): readonly [string, ...string[]];
  /** Whether it writes index.html too. */
  readonly page: boolean;
  /** Whether it brings the worker along; else that is an entry point of its own, whose address the application gives. */
  readonly worker: boolean;
}

const bundlers: readonly Bundler[] = [
  {
    name: "Vite",
    packages: ["vite@8"],
    main: "vite",
    command: (out) => ["vite", "build", "--outDir", out, "--logLevel", "warn"],
    page: true,
    worker: true,
  },
  {
    name: "webpack",
    packages: ["webpack@5", "webpack-cli@7"],
    main: "webpack",
    command: (out) => ["webpack", "build", "--mode", "production", "--entry", "./main.js", "--output-path", out],
    page: false,
    worker: true,
  },
  {
    name: "esbuild",
    packages: ["esbuild@0.28"],
    main: "esbuild",
    command: (out) => [
      "esbuild",
      ...["main.js", "worker=lowbit/worker.js"],
      ...["--bundle", "--splitting", "--minify", "--format=esm", "--target=es2022", `--outdir=${out}`],
    ],
    page: false,
    worker: false,
  },
  {
    name: "Rollup",
    packages: ["rollup@4", "@rollup/plugin-node-resolve@16"],
    main: "rollup",
    command: (out, modules) => {
      const resolve = join(modules, "@rollup", "plugin-node-resolve", "dist", "es", "index.js");
      return [
        "rollup",
        "main.js",
        "worker=lowbit/worker.js",
        "--format",
        "es",
        "--dir",
        out,
        "--plugin",
        resolve,
        "--silent",
      ];
    },
    page: false,
    worker: false,
  },
];

/** Posts what the page shows once it shows something, or its first error. */
const PROBE = `
const send = (body) => fetch("/result", { method: "POST", body });
addEventListener("error", (event) => send("error: " + event.message));
addEventListener("unhandledrejection", (event) => send("error: " + event.reason));
const timer = setInterval(() => {
  const text = document.querySelector("output").textContent;
  if (text !== "") { clearInterval(timer); send(text); }
}, 50);
`;

const PAGE = '<!doctype html><input value="42" /><output></output><script type="module" src="/main.js"></script>';

function filesOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

function bundlerCell(bundler: Bundler, browser: Browser, variant: "relaxed" | "simd"): Cell {
  return {
    name: browser === chromium ? bundler.name : `${bundler.name}, in ${browser.name}`,
    table: "bundlers",
    async run({ project, threads }) {
      await browser.version();
      const app = copyExample(project, "vite", `${bundler.main}-${browser.name}`);
      if (!bundler.worker) {
        const main = join(app, "main.js");
        const given = readFileSync(main, "utf8").replace("{ threads: 2 }", '{ threads: 2, worker: "/worker.js" }');
        writeFileSync(main, given);
      }
      const modules = join(await installPackages(bundler.main, bundler.packages), "node_modules");
      const out = join(work, `out-${bundler.main}-${browser.name}`);
      mkdirSync(out, { recursive: true });
      const [command, ...args] = bundler.command(out, modules);
      await runWell(join(modules, ".bin", command), args, { cwd: app });

      const chunks: Record<string, string> = {};
      for (const name of ["simd", "relaxed"]) {
        const hex = readFileSync(join(project.folder, "node_modules/lowbit/dist/wasm", `${name}.wasm`)).toString("hex");
        const found = filesOf(out).filter((file) => readFileSync(file, "utf8").includes(hex));
        if (found.length !== 1) throw new Error(`${name}.wasm: expected it in one chunk, got ${found.length}`);
        chunks[name] = `/${relative(out, found[0] as string)}`;
      }
      if (chunks.simd === chunks.relaxed) throw new Error("both binaries are in one chunk");

      const html = bundler.page ? readFileSync(join(out, "index.html"), "utf8") : PAGE;
      const pages = { "/": `${html}<script src="/probe.js"></script>`, "/probe.js": PROBE };
      const { body, requests } = await visit(browser, { folder: out, pages, headers: ISOLATED }, "/", 60);
      const count = threads && browser !== webkit ? 2 : 1;
      const end = `(${variant}, threads: ${count})`;
      if (!body.startsWith("nearest: 42,") || !body.endsWith(end)) {
        throw new Error(`expected the page to show "nearest: 42, … ${end}", got "${body}"`);
      }
      const loaded = Object.keys(chunks).filter((name) => requests.includes(chunks[name] as string));
      if (loaded.join() !== variant)
        throw new Error(`expected the chunk of ${variant} alone, got ${loaded}: ${requests}`);
      return {
        version: versionOf(join(modules, bundler.main)),
        note: `${loaded} alone; ${count === 1 ? "1 thread" : `${count} threads`}`,
      };
    },
  };
}

export const bundlerCells: readonly Cell[] = [
  ...bundlers.map((bundler) => bundlerCell(bundler, chromium, "relaxed")),
  bundlerCell(bundlers[0] as Bundler, webkit, "simd"),
];
