// No kernel has grown: npm run count in continuous integration, with what it needs installed where that can be had.
import { join } from "node:path";
import { NODE_VERSION, TARGETS, type Target } from "../../../bench/count/tools.ts";
import type { Cell } from "../cell.ts";
import { debian, installs, Unavailable } from "../install.ts";
import { root } from "../paths.ts";
import { run, tail } from "../process.ts";
import { armFiles, armPackages } from "./commands.ts";

const compiler = { files: ["gcc", "/usr/include/stdio.h"], packages: ["gcc", "libc6-dev"] };

async function install({ arch }: Target): Promise<void> {
  if (process.platform !== "linux") throw new Unavailable("qemu runs programs of Linux on Linux only");
  await debian(compiler.files, compiler.packages);
  if (arch === process.arch) await debian([arch === "x64" ? "qemu-x86_64" : "qemu-aarch64"], ["qemu-user"]);
  else if (arch === "arm64") await debian(armFiles, armPackages);
  else throw new Unavailable("emulates x86-64 on x86-64 only");
}

function counts(target: Target): Cell {
  return {
    name: `instruction counts, ${target.cpu}`,
    table: "package",
    seconds: 900,
    async run() {
      await install(target);
      const script = [...process.execArgv, join("bench", "count", "run.ts"), "--cpu", target.cpu];
      const args = installs() ? script : [...script, "--no-install"];
      const { status, stdout, stderr } = await run(process.execPath, args, { cwd: root, seconds: 840 });
      const reason = /^skipped \S+: (.*)$/m.exec(stdout)?.[1];
      if (status === 2 && reason) throw new Unavailable(reason);
      const grown = stdout.split("\n").filter((line) => line.includes(`, ${target.cpu}): `));
      if (status !== 0) throw new Error(grown.join("\n") || `status ${status}: ${tail(stdout + stderr)}`);
      const kernels = stdout.match(/^gem[mv]_.* \d/gm)?.length ?? 0;
      if (kernels < 100) throw new Error(`only ${kernels} kernels were counted`);
      return { version: NODE_VERSION, note: `${kernels} kernels of both binaries, none grown by more than 5 %` };
    },
  };
}

export const countCells: readonly Cell[] = TARGETS.map(counts);
