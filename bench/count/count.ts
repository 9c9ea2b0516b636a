// One run of guest.ts under qemu: how many instructions each kernel executed, from the blocks that plugin.c counted and the
// machine code that V8 prints.
import { spawn } from "node:child_process";
import { createReadStream, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { COLS, type Marked, ROWS, TOKENS } from "./marks.ts";
import { compileGuest, compilePlugin, emulator, type Target, work } from "./tools.ts";

/** An instruction that was executed in a kernel. */
export interface Instruction {
  readonly text: string;
  readonly executions: number;
}

export interface Count extends Marked {
  /** Executed instructions for 64 weights, of gemm for 64 weights and a token. */
  readonly per64: number;
  /** In the order of the machine code; what was not executed is left out. */
  readonly instructions: readonly Instruction[];
}

// Optimised code of every function before anything runs, so that nothing is counted twice in two tiers.
const FLAGS = ["--no-liftoff", "--no-wasm-lazy-compilation", "--print-wasm-code"];

/** @param names a regular expression over kernels */
export async function count(target: Target, names: string, download: boolean): Promise<Count[]> {
  mkdirSync(work, { recursive: true });
  // All that a run makes is in its own folder: two may run at a time.
  const folder = mkdtempSync(join(work, "run-"));
  const at = (name: string): string => join(folder, name);
  try {
    const plugin = `${compilePlugin(folder)},out=${at("blocks")}`;
    const [command, ...args] = emulator(target, plugin, download);
    const guest = compileGuest(folder);
    const code = openSync(at("code"), "w");
    const child = spawn(command as string, [...args, ...FLAGS, guest, at("marks"), names], {
      stdio: ["ignore", code, "pipe"],
    });
    let errors = "";
    child.stderr?.on("data", (text: Buffer) => {
      errors += text;
    });
    const status = await new Promise((resolve, reject) => child.on("error", reject).on("close", resolve));
    if (status !== 0) throw new Error(`${target.cpu}: ${command} ended with ${status}: ${errors.slice(-2000)}`);
    const marks = JSON.parse(readFileSync(at("marks"), "utf8")) as Marked[];
    return join64(marks, await readCode(at("code")), readFileSync(at("blocks"), "utf8"));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

interface Code {
  /** Instructions of all functions of WebAssembly, one after the other. */
  readonly texts: string[];
  /** Where the instruction at an address is among them. */
  readonly places: Map<string, number>;
}

// Lines "address offset bytes mnemonic operands" between "kind: wasm function" and the tables that follow.
async function readCode(file: string): Promise<Code> {
  const code: Code = { texts: [], places: new Map() };
  let inside = false;
  for await (const line of createInterface({ input: createReadStream(file) })) {
    const kind = /^kind: (.*)$/.exec(line)?.[1];
    if (kind !== undefined) inside = kind === "wasm function";
    if (!inside) continue;
    const match = /^(?:0x)?([0-9a-f]{6,16}) +[0-9a-f]+ +[0-9a-f]+ +(\S.*)$/.exec(line);
    if (match) {
      code.places.set(BigInt(`0x${match[1]}`).toString(16), code.texts.length);
      code.texts.push(match[2] as string);
    } else if (/^(Protected|Source positions|Safepoints|RelocInfo)/.test(line)) {
      inside = false;
    }
  }
  return code;
}

function join64(marks: readonly Marked[], { texts, places }: Code, blocks: string): Count[] {
  const counts = marks.map(() => new Map<number, number>());
  for (const line of blocks.trim().split("\n")) {
    const [mark, address, instructions, executions] = line.split(" ") as [string, string, string, string];
    const first = places.get(address);
    const of = counts[Number(mark) - 1];
    if (first === undefined || !of) continue;
    for (let i = first; i < first + Number(instructions); i++) of.set(i, (of.get(i) ?? 0) + Number(executions));
  }
  return marks.map((marked, i) => {
    const entries = [...(counts[i] as Map<number, number>)].sort(([a], [b]) => a - b);
    const total = entries.reduce((sum, [, executions]) => sum + executions, 0);
    const tokens = marked.kernel.startsWith("gemm") ? TOKENS : 1;
    return {
      ...marked,
      per64: Math.round((total * 6400) / (ROWS * COLS * tokens)) / 100,
      instructions: entries.map(([place, executions]) => ({ text: texts[place] as string, executions })),
    };
  });
}
