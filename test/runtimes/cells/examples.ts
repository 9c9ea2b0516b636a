// The programs of examples/ in the runtimes that they are for. That of Vite is what the bundlers build.
import { createServer } from "node:net";
import { join } from "node:path";
import type { Cell } from "../cell.ts";
import { copyExample } from "../examples.ts";
import { installPackages, versionOf } from "../install.ts";
import { root } from "../paths.ts";
import { runWell, start, tail } from "../process.ts";
import { bundle, denoArguments, workerdCommand } from "./commands.ts";

/** What of the output matches. */
function expectMatch(text: string, pattern: RegExp): string {
  const found = pattern.exec(text)?.[0];
  if (found === undefined) throw new Error(`expected ${pattern} in the output, got\n${tail(text)}`);
  return found;
}

const node: Cell = {
  name: "examples/node",
  table: "examples",
  async run({ project }) {
    const output = await runWell(process.execPath, ["main.js"], { cwd: copyExample(project, "node") });
    return { version: process.versions.node, note: expectMatch(output, /^nearest: 42\b/m) };
  },
};

function typed(name: "deno" | "bun", args: readonly string[]): Cell {
  return {
    name: `examples/${name}`,
    table: "examples",
    async run({ project }) {
      const modules = join(await installPackages(name, [name === "deno" ? "deno@2" : "bun@1"]), "node_modules");
      const cwd = copyExample(project, name);
      const output = await runWell(join(modules, ".bin", name), [...args, "main.ts"], { cwd });
      expectMatch(output, /^4\.\d+ bits a weight: relative error 0\.0\d/m);
      return {
        version: versionOf(join(modules, name)),
        note: expectMatch(output, /^computed by the relaxed kernels$/m),
      };
    },
  };
}

/** The command line of the installed package, by the name that npm gives it. */
const command: Cell = {
  name: "npx lowbit",
  table: "examples",
  async run({ project }) {
    const bin = join(project.folder, "node_modules", ".bin", "lowbit");
    const model = join(root, "examples", "models", "tiny-llama-q4_0.gguf");
    const text = await runWell(bin, ["run", model, "-p", "To be, or not", "-n", "6"], { cwd: project.folder });
    expectMatch(await runWell(bin, ["inspect", model], { cwd: project.folder }), /^architecture +llama$/m);
    expectMatch(await runWell(bin, ["info", "--threads", "2"], { cwd: project.folder }), /^threads +2$/m);
    return { version: process.versions.node, note: expectMatch(text, /^ to be .+$/m).trim() };
  },
};

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

async function answer(address: string, body?: Float32Array<ArrayBuffer>): Promise<Response> {
  const deadline = performance.now() + 20_000;
  for (;;) {
    try {
      return await fetch(address, body ? { method: "POST", body } : {});
    } catch (error) {
      // It has not begun to listen.
      if (performance.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

const workerd: Cell = {
  name: "examples/workerd",
  table: "examples",
  async run({ project }) {
    const { command, version } = await workerdCommand();
    const cwd = copyExample(project, "workerd");
    await bundle("worker.js", cwd, "dist");
    const port = await freePort();
    const server = start(command, ["serve", "config.capnp", `--socket-addr=http=127.0.0.1:${port}`], { cwd });
    try {
      const address = `http://127.0.0.1:${port}`;
      const refused = await answer(address);
      if (refused.status !== 405) throw new Error(`GET: expected status 405, got ${refused.status}`);
      const response = await answer(
        address,
        Float32Array.from({ length: 384 }, (_, i) => (i % 3) - 1),
      );
      const found = (await response.json()) as { row: number; score: number }[];
      if (found.length !== 3 || !found.every(({ row, score }) => row >= 0 && row < 1000 && score > 0)) {
        throw new Error(`expected three documents, got ${JSON.stringify(found)}`);
      }
      return { version, note: `three documents, the nearest ${found[0]?.row}` };
    } catch (error) {
      throw new Error(`${(error as Error).message}\n${tail(server.output())}`);
    } finally {
      await server.stop();
    }
  },
};

export const exampleCells: readonly Cell[] = [
  node,
  command,
  typed("deno", denoArguments),
  typed("bun", ["run"]),
  workerd,
];
