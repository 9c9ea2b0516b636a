// A lock that one process at a time holds: a file with the number of its process and a word that no other lock ever has.
//
// What a process that died left is taken over. Who removes it must be one alone, and must remove nothing else: it first takes
// a lock on this very removal, named after the word, and then looks again. Nobody else can have removed the file since, and
// its owner is dead, so what is removed is what was seen. Who dies while it removes leaves a lock of the same kind.
import { randomUUID } from "node:crypto";
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
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

/** The process and the word of who holds a lock; undefined: nobody does. */
function ownerOf(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

const processOf = (owner: string): number => Number.parseInt(owner, 10);

function releaseOwn(path: string, owner: string): void {
  if (ownerOf(path) === owner) rmSync(path, { force: true });
}

/** Takes the lock if nobody alive has it; what it then says of its owner. */
function take(path: string): string | undefined {
  const owner = `${process.pid}-${randomUUID()}`;
  // A link to a file that is written already: the lock is made whole or, if there is one, not at all.
  const own = `${path}.${owner}`;
  writeFileSync(own, owner);
  try {
    linkSync(own, path);
    return owner;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  } finally {
    rmSync(own, { force: true });
  }
  const dead = ownerOf(path);
  if (dead !== undefined && !isAlive(processOf(dead))) {
    const removal = `${path}.${dead}.gone`;
    const remover = take(removal);
    if (remover !== undefined) {
      releaseOwn(path, dead);
      releaseOwn(removal, remover);
    }
  }
  return undefined;
}

/** Waits for the lock; what is returned gives it back, as the end of the process does. */
export async function holdLock(path: string): Promise<() => void> {
  mkdirSync(dirname(path), { recursive: true });
  let owner = take(path);
  for (let waited = 0; owner === undefined; waited++) {
    if (waited === 40) console.error(`waiting for process ${processOf(ownerOf(path) ?? "0")}, which has ${path}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
    owner = take(path);
  }
  const own = owner;
  const release = (): void => {
    process.off("exit", release);
    releaseOwn(path, own);
  };
  process.on("exit", release);
  return release;
}
