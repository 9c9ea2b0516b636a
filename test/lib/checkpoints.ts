// The models of test/llm/fixtures.
import { readdirSync, readFileSync } from "node:fs";
import { parseSafetensors } from "../../src/files/index.ts";
import { configFromHf } from "../../src/llm/hf-config.ts";
import type { Checkpoint } from "../../src/llm/tensors.ts";

const root = new URL("../llm/fixtures/", import.meta.url);

export const fixture = (path: string): Buffer => readFileSync(new URL(path, root));
export const fixtureJson = <T>(path: string): T => JSON.parse(fixture(path).toString()) as T;

export const architectureNames: readonly string[] = readdirSync(new URL("archs/", root)).sort();

/** A folder with config.json and model.safetensors; `change` makes another config of it. */
export function checkpointOf(
  folder: string,
  change: (config: Record<string, unknown>) => Record<string, unknown> = (c) => c,
): Checkpoint {
  const config = configFromHf(change(fixtureJson(`${folder}/config.json`)));
  const { tensors } = parseSafetensors(fixture(`${folder}/model.safetensors`), folder);
  const stored = [...tensors].map(([name, { dtype, shape, data }]) => {
    return [name, { dtype, shape, read: async () => data }] as const;
  });
  return { container: "safetensors", config, metadata: {}, tensors: new Map(stored) };
}

/** Tokens and their logits. */
export function referenceOf(folder: string): { tokens: Int32Array; logits: Float32Array } {
  const { tensors } = parseSafetensors(fixture(`${folder}/reference.safetensors`), folder);
  const buffer = (name: string): ArrayBuffer => new Uint8Array(tensors.get(name)?.data ?? []).buffer;
  return { tokens: new Int32Array(buffer("tokens")), logits: new Float32Array(buffer("logits")) };
}

/** Numbers of a tensor of a safetensors file. */
export function numbersOf<T>(path: string, name: string, kind: new (buffer: ArrayBuffer) => T): T {
  return new kind(new Uint8Array(parseSafetensors(fixture(path), path).tensors.get(name)?.data ?? []).buffer);
}
