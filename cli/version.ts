import { readFileSync } from "node:fs";

/** Of the package that this is part of. */
export function versionOf(): string {
  const manifest = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(manifest) as { version: string }).version;
}
