// Runs the command line as users do: bin/lowbit.js in a process of its own.
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
const bin = fileURLToPath(new URL("../../bin/lowbit.js", import.meta.url));

/** A model that writes text, and the files of others. */
export const MODEL = "examples/models/tiny-llama-q4_0.gguf";
export const TINY = "test/llm/fixtures/archs/llama";

export interface Ended {
  /** undefined where a signal ended it. */
  readonly status: number | undefined;
  readonly signal: string | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Started {
  readonly child: ChildProcessWithoutNullStreams;
  readonly ended: Promise<Ended>;
  /** Resolves when its output matches; rejects when it ends before. */
  until(pattern: RegExp): Promise<RegExpExecArray>;
}

export interface StartOptions {
  readonly input?: string | Uint8Array;
  readonly env?: Readonly<Record<string, string>>;
  /** Leaves standard input open. */
  readonly open?: boolean;
}

/** Seconds after which it is hung. */
const LIMIT = 120;

export function start(args: readonly string[], { input = "", env = {}, open = false }: StartOptions = {}): Started {
  const child = spawn(process.execPath, [bin, ...args], {
    cwd: root,
    // Those of whoever runs the tests have no say.
    env: { ...process.env, NO_COLOR: "", LOWBIT_DEBUG: "", HF_TOKEN: "", NODE_OPTIONS: "", ...env },
  });
  let stdout = "";
  let stderr = "";
  let check = (): void => {};
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
    check();
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
    check();
  });
  child.stdin.on("error", () => {});
  if (!open) child.stdin.end(input);
  else if (input !== "") child.stdin.write(input);
  const timer = setTimeout(() => child.kill("SIGKILL"), LIMIT * 1000);
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (status, signal) => {
      clearTimeout(timer);
      resolve({ status: status ?? undefined, signal: signal ?? undefined, stdout, stderr });
      check();
    });
  });
  const until = (pattern: RegExp): Promise<RegExpExecArray> =>
    new Promise((resolve, reject) => {
      check = () => {
        const found = pattern.exec(stdout) ?? pattern.exec(stderr);
        if (found) resolve(found);
        else if (child.exitCode !== null) reject(new Error(`ended before ${pattern}: ${stdout}${stderr}`));
      };
      check();
    });
  return { child, ended, until };
}

export function lowbit(args: readonly string[], options: StartOptions = {}): Promise<Ended> {
  return start(args, options).ended;
}

// The first call may build, which it says on standard error.
await lowbit(["--version"]);
