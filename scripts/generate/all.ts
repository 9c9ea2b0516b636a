// Every generated file and what it should be.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { entrySources } from "./entries.ts";
import { kindsSource } from "./kinds.ts";
import { benchIndex, conformanceCases, formatsPage, readAbouts, readme, testIndex } from "./lists.ts";
import { root } from "./paths.ts";

export interface Generated {
  /** From the root of the project. */
  readonly file: string;
  readonly text: string;
}

export async function generated(): Promise<Generated[]> {
  const formats = await readAbouts();
  const page = (file: string): string => readFileSync(join(root, file), "utf8");
  const { simd, relaxed } = entrySources(join(root, "assembly"));
  return [
    { file: "assembly/dot/kinds.ts", text: kindsSource() },
    { file: "assembly/simd.ts", text: simd },
    { file: "assembly/relaxed.ts", text: relaxed },
    { file: "test/formats/index.ts", text: testIndex() },
    { file: "bench/formats/index.ts", text: benchIndex() },
    { file: "test/runtimes/cases.ts", text: conformanceCases(formats) },
    { file: "docs/formats.md", text: formatsPage(page("docs/formats.md"), formats) },
    { file: "README.md", text: readme(page("README.md"), formats) },
  ];
}
