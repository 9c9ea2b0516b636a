// lowbit inspect: what is in a file of weights.
import type { FileInfo, TensorInfo } from "lowbit/llm";
import type { Options } from "../arguments.ts";
import { define } from "../command.ts";
import { interrupted } from "../interrupt.ts";
import { sourceOf, sourceOptions } from "../model.ts";
import { bytesText, printJson, printLine, table } from "../terminal.ts";

const OPTIONS = {
  metadata: { type: "flag", help: "all of the metadata, not only what is short" },
  json: { type: "flag", help: "as an object, with all metadata" },
} as const satisfies Options;

export const command = define({
  usage: "SRC [--metadata | --json]",
  about: `
Container, architecture, metadata and tensors of a GGUF or safetensors file or of a checkpoint's folder, of models and of
anything else. Nothing but headers is read. Bits and bytes of a tensor are those that it takes once it is loaded.`,
  options: OPTIONS,
  async run({ json, metadata }, rest) {
    const source = sourceOf("inspect", rest);
    const { signal } = interrupted();
    const { inspect } = await import("../library.ts");
    const info = await inspect(source, { ...sourceOptions(source), signal });
    if (json) {
      const bits = info.tensors.map((tensor) => ({ ...tensor, bits: bitsOf(tensor) }));
      await printJson({ ...info, tensors: bits });
      return 0;
    }
    await printLine(headOf(info));
    const shown = metadataOf(info, metadata === true);
    if (shown.length > 0) await printLine(`\n${table(shown)}`);
    const rows = info.tensors.map((tensor) => [
      tensor.name,
      tensor.format,
      tensor.shape.join(" x "),
      bitsOf(tensor).toFixed(3),
      bytesText(tensor.bytes),
    ]);
    await printLine(`\n${table([["tensor", "type", "shape", "bits", "loaded"], ...rows], [3, 4])}`);
    return 0;
  },
});

/** Of the weight once it is loaded. */
function bitsOf({ shape, bytes }: TensorInfo): number {
  return (8 * bytes) / shape.reduce((product, size) => product * size, 1);
}

function headOf(info: FileInfo): string {
  const { container, architecture, context, refusal, parameters, byteLength, bytes, tensors } = info;
  const types = new Map<string, number>();
  for (const { format } of tensors) types.set(format, (types.get(format) ?? 0) + 1);
  return table([
    ["container", container],
    ["architecture", architecture ?? "none"],
    ...(refusal === undefined ? [] : [["no model", refusal]]),
    ...(context === undefined ? [] : [["context", `${context} tokens`]]),
    ["parameters", String(parameters)],
    ["tensors", `${tensors.length}: ${[...types].map(([type, count]) => `${count} ${type}`).join(", ")}`],
    ["file", bytesText(byteLength)],
    ["loaded", `${bytesText(bytes)} of linear memory${context === undefined ? "" : ", keys and values not counted"}`],
  ]);
}

/** Longer values are vocabularies and templates. */
const LONGEST = 80;

function metadataOf({ metadata }: FileInfo, all: boolean): string[][] {
  return Object.entries(metadata).flatMap(([key, value]) => {
    const text = textOf(value, all);
    if (text === undefined) return [];
    return [[key, text]];
  });
}

function textOf(value: unknown, all: boolean): string | undefined {
  if (typeof value === "object" && value !== null) {
    const list =
      ArrayBuffer.isView(value) || Array.isArray(value) ? Array.from(value as ArrayLike<unknown>) : undefined;
    if (list && list.length > 16)
      return all ? `${list.length} values: ${list.slice(0, 8).map(String).join(", ")}, …` : undefined;
  }
  const text = JSON.stringify(value, (_, one: unknown) =>
    typeof one === "bigint"
      ? Number(one)
      : ArrayBuffer.isView(one)
        ? Array.from(one as unknown as ArrayLike<unknown>)
        : one,
  );
  return text === undefined || (text.length > LONGEST && !all) ? undefined : text;
}
