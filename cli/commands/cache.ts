// lowbit cache: the downloads that are kept.
import { readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Options } from "../arguments.ts";
import { define } from "../command.ts";
import { Failure, UsageError } from "../errors.ts";
import { bytesText, note, printJson, printLine, table } from "../terminal.ts";

const OPTIONS = {
  all: { type: "flag", help: "rm: everything" },
  json: { type: "flag", help: "ls: as an object" },
} as const satisfies Options;

interface Kept {
  readonly folder: string;
  /** As a source is called, where it is known. */
  readonly address: string;
  readonly bytes: number;
  /** When something of it was last written. */
  readonly changed: Date;
}

export const command = define({
  usage: "ls | rm ADDRESS... | rm --all",
  about: `
Lists the downloads that are kept, whole or not, by the addresses that rm takes, and removes them. They are in $LOWBIT_CACHE, or
"lowbit" in the folder for caches.`,
  options: OPTIONS,
  async run({ all, json }, [action, ...addresses]) {
    const { ADDRESS, cacheFolder } = await import("../library.ts");
    const folder = cacheFolder();
    if (action === "ls" || action === "list") {
      if (addresses.length > 0) throw new UsageError(`cache: ls: expected no argument, got ${addresses[0]}`);
      const kept = await list(folder, ADDRESS);
      if (json) {
        await printJson({ folder, files: kept.map(({ address, bytes, changed }) => ({ address, bytes, changed })) });
        return 0;
      }
      const rows = kept.map(({ address, bytes, changed }) => [
        bytesText(bytes),
        changed.toISOString().slice(0, 10),
        address,
      ]);
      if (rows.length > 0) await printLine(table(rows, [0]));
      note(`${kept.length} in ${folder}, ${bytesText(kept.reduce((sum, { bytes }) => sum + bytes, 0))}`);
      return 0;
    }
    if (action !== "rm") throw new UsageError(`cache: expected ls or rm, got ${action ?? "neither"}`);
    if (!all && addresses.length === 0) throw new UsageError("cache: rm: expected ADDRESS, as ls has it, or --all");
    if (all && addresses.length > 0) throw new UsageError("cache: rm: expected ADDRESS or --all, got both");
    const kept = await list(folder, ADDRESS);
    const missing = addresses.find((wanted) => !kept.some(({ address }) => address === wanted));
    if (missing !== undefined) throw new Failure(`cache: ${missing}: there is no such download (lowbit cache ls)`);
    const removed = all ? kept : kept.filter(({ address }) => addresses.includes(address));
    for (const one of removed) await rm(join(folder, one.folder), { recursive: true, force: true });
    note(`removed ${removed.length}, ${bytesText(removed.reduce((sum, { bytes }) => sum + bytes, 0))}`);
    return 0;
  },
});

async function list(folder: string, addressName: string): Promise<Kept[]> {
  let names: string[];
  try {
    names = await readdir(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw new Failure(`cache: ${folder}: cannot be read: ${(error as NodeJS.ErrnoException).code}`);
  }
  // Folders of the cache are digests: nothing else in there is touched.
  const ours = names.filter((name) => /^[0-9a-f]{32}$/.test(name)).sort();
  return Promise.all(
    ours.map(async (name) => {
      const pieces = await readdir(join(folder, name));
      const stats = await Promise.all(pieces.map((piece) => stat(join(folder, name, piece))));
      const address = await readFile(join(folder, name, addressName), "utf8").catch(() => name);
      const latest = Math.max(0, ...stats.map(({ mtimeMs }) => mtimeMs));
      const bytes = stats.reduce((sum, { size }, i) => (pieces[i] === addressName ? sum : sum + size), 0);
      return { folder: name, address: shortOf(address), bytes, changed: new Date(latest) };
    }),
  );
}

/** hf:owner/repo/file of an address of the hub. */
function shortOf(address: string): string {
  const found = /^https:\/\/huggingface\.co\/([^/]+)\/([^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(address);
  if (!found) return address;
  const [owner, repo, revision, path] = found.slice(1) as [string, string, string, string];
  return `hf:${owner}/${repo}${revision === "main" ? "" : `@${revision}`}/${decodeURIComponent(path)}`;
}
