// Child processes with a time limit: what hangs is killed with everything it started, and counts as failed.
import { type ChildProcess, spawn } from "node:child_process";

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Default 120. */
  readonly seconds?: number;
}

export interface Output {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const living = new Set<ChildProcess>();

// Process groups of their own do not see the terminal's interrupt.
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    for (const child of living) killGroup(child);
    process.exit(1);
  });
}

function killGroup(child: ChildProcess, signal: "SIGTERM" | "SIGKILL" = "SIGKILL"): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // It has ended.
  }
}

export interface Running {
  /** Asks it to end, and soon makes it. */
  stop(): Promise<void>;
  /** The end of what it wrote. */
  output(): string;
}

/** A process that runs until it is stopped. */
export function start(command: string, args: readonly string[], options: RunOptions = {}): Running {
  const child = launch(command, args, options);
  let text = "";
  const add = (part: string): void => {
    text = (text + part).slice(-20_000);
  };
  child.stdout?.on("data", add);
  child.stderr?.on("data", add);
  child.on("error", (error) => add(String(error)));
  const closed = new Promise<void>((resolve) => child.on("close", () => resolve()));
  return {
    async stop() {
      killGroup(child, "SIGTERM");
      await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, 3000).unref())]);
      killGroup(child);
    },
    output: () => text,
  };
}

function launch(command: string, args: readonly string[], { cwd, env }: RunOptions): ChildProcess {
  const child = spawn(command, args, {
    ...(cwd !== undefined && { cwd }),
    env: { ...process.env, ...env },
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  child.stdout?.setEncoding("utf8");
  child.stderr?.setEncoding("utf8");
  living.add(child);
  child.on("close", () => living.delete(child));
  return child;
}

/** Runs a command to its end, whatever its status. */
export function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<Output> {
  const { seconds = 120 } = options;
  return new Promise((resolve, reject) => {
    const child = launch(command, args, options);
    let stdout = "";
    let stderr = "";
    child.stdout?.on("data", (part: string) => {
      stdout += part;
    });
    child.stderr?.on("data", (part: string) => {
      stderr += part;
    });
    const timer = setTimeout(() => {
      killGroup(child);
      reject(new Error(`still running after ${seconds} s: ${command} ${args.join(" ")}\n${tail(stdout + stderr)}`));
    }, seconds * 1000);
    child.on("error", (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.on("close", (status) => {
      clearTimeout(timer);
      resolve({ status, stdout, stderr });
    });
  });
}

/** The same, whose failure is an error with the end of its output. */
export async function runWell(command: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const { status, stdout, stderr } = await run(command, args, options);
  if (status === 0) return stdout;
  throw new Error(`status ${status} of ${command} ${args.join(" ")}\n${tail(stdout + stderr)}`);
}

export function tail(text: string, length = 1500): string {
  return text.trim().slice(-length);
}
