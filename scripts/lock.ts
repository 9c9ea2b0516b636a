// A lock that one process at a time holds: a file with the number of the process. What a process that died left is taken over.
import { linkSync, mkdirSync, readFileSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it is there, and somebody else's.
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** Removes the lock of a process that is gone. */
function clear(path: string): void {
  try {
    if (!isAlive(Number(readFileSync(path, "utf8")))) rmSync(path, { force: true });
  } catch {
    // Its holder was faster.
  }
}

/** Waits for the lock; what is returned gives it back, as the end of the process does. */
export async function holdLock(path: string): Promise<() => void> {
  mkdirSync(dirname(path), { recursive: true });
  // The number is in the file from the beginning: a link to a file that is there already is made whole or not at all.
  const own = `${path}.${process.pid}`;
  writeFileSync(own, String(process.pid));
  try {
    for (;;) {
      try {
        linkSync(own, path);
        break;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
        clear(path);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
  } finally {
    unlinkSync(own);
  }
  const release = (): void => {
    process.off("exit", release);
    rmSync(path, { force: true });
  };
  process.on("exit", release);
  return release;
}
