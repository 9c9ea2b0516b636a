// Fetches runtimes and bundlers: npm packages into build/runtimes/cache, Debian packages where apt-get may be used. What
// cannot be had is Unavailable, which makes a cell skipped with that reason.
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { cache } from "./paths.ts";
import { run, runWell, tail } from "./process.ts";

export class Unavailable extends Error {}

let mayInstall = true;

/** Whether --no-install was not given. */
export function installs(): boolean {
  return mayInstall;
}

export function forbidInstalling(): void {
  mayInstall = false;
}

/** Two cells that need the same wait for one installation. */
const pending = new Map<string, Promise<string>>();

function once(key: string, make: () => Promise<string>): Promise<string> {
  const known = pending.get(key);
  if (known) return known;
  const made = make();
  pending.set(key, made);
  return made;
}

/** Makes `folder` of the cache by `fill`, or not at all. */
async function cached(folder: string, what: string, fill: (to: string) => Promise<void>): Promise<string> {
  const path = join(cache, folder);
  if (existsSync(path)) return path;
  if (!mayInstall) throw new Unavailable(`${what} is not in the cache, and --no-install was given`);
  const unfinished = `${path}.unfinished`;
  rmSync(unfinished, { recursive: true, force: true });
  mkdirSync(unfinished, { recursive: true });
  try {
    await fill(unfinished);
  } catch (error) {
    throw new Unavailable(`${what} cannot be installed: ${tail(String((error as Error).message), 300)}`);
  }
  renameSync(unfinished, path);
  return path;
}

/** One npm package without its dependencies, also where it is for another processor. Returns its folder. */
export function fetchPackage(spec: string): Promise<string> {
  return once(spec, async () => {
    const folder = await cached(spec.replace(/[^\w.@-]+/g, "_"), spec, async (to) => {
      const file = (
        await runWell("npm", ["pack", spec, "--silent", "--pack-destination", to], { seconds: 300 })
      ).trim();
      const archive = join(to, file.split("\n").at(-1) as string);
      await runWell("tar", ["xzf", archive, "-C", to]);
      rmSync(archive);
    });
    return join(folder, "package");
  });
}

/** npm packages with their dependencies, in a project of their own. Returns its folder. */
export function installPackages(name: string, specs: readonly string[]): Promise<string> {
  return once(name, () =>
    cached(`${name}-${specs.join("-").replace(/[^\w.@-]+/g, "_")}`, specs.join(", "), async (to) => {
      writeFileSync(join(to, "package.json"), '{ "private": true, "type": "module" }\n');
      await runWell("npm", ["install", "--no-audit", "--no-fund", ...specs], { cwd: to, seconds: 300 });
    }),
  );
}

export function versionOf(folder: string): string {
  return (JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as { version: string }).version;
}

function isFile(command: string): string | undefined {
  if (command.includes("/")) return existsSync(command) ? command : undefined;
  const folders = (process.env.PATH ?? "").split(delimiter);
  return folders.map((folder) => join(folder, command)).find((path) => existsSync(path));
}

let apt: Promise<unknown> = Promise.resolve();

/** Files (or commands in PATH) that Debian packages have, the first of which is returned; installed if they are missing. */
export function debian(files: readonly string[], packages: readonly string[]): Promise<string> {
  return once(files.join(), () => {
    // One at a time: apt-get holds a lock.
    const found = apt.then(async () => {
      const missing = (): string | undefined => files.find((file) => !isFile(file));
      if (missing() !== undefined) await aptInstall(packages, missing() as string);
      if (missing() !== undefined) throw new Unavailable(`${missing()} is missing from ${packages.join(", ")}`);
      return isFile(files[0] as string) as string;
    });
    apt = found.catch(() => undefined);
    return found;
  });
}

async function aptInstall(packages: readonly string[], missing: string): Promise<void> {
  const list = packages.join(", ");
  if (!mayInstall) throw new Unavailable(`no ${missing} (${list}), and --no-install was given`);
  if (process.getuid?.() !== 0 || !isFile("apt-get")) {
    throw new Unavailable(`no ${missing}: needs root and apt-get to install ${list}`);
  }
  const options = { env: { DEBIAN_FRONTEND: "noninteractive" }, seconds: 600 };
  const lock = ["-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=2"];
  const install = ["install", "-y", "-q", "--no-install-recommends", ...lock, ...packages];
  try {
    if ((await run("apt-get", install, options)).status === 0) return;
    await runWell("apt-get", ["update", "-q", ...lock], options);
    await runWell("apt-get", install, options);
  } catch (error) {
    throw new Unavailable(`${list} cannot be installed: ${tail(String((error as Error).message), 300)}`);
  }
}
