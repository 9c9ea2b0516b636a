// lowbit convert: a checkpoint in another container, or as numbers.
import type { NumberType } from "#lowbit/llm/convert";
import type { Options } from "../arguments.ts";
import { define } from "../command.ts";
import { UsageError } from "../errors.ts";
import { INTERRUPTED, interrupted } from "../interrupt.ts";
import { sourceOf, sourceOptions } from "../model.ts";
import { Progress } from "../progress.ts";

const OPTIONS = {
  output: { type: "text", short: "o", value: "FILE", help: "the file to write, X.safetensors or X.gguf" },
  dtype: {
    type: "text",
    value: "NAME",
    choices: ["f32", "f16", "bf16"],
    help: "dequantised weights under their names: f32, f16, bf16",
  },
  quiet: { type: "flag", short: "q", help: "nothing on standard error but errors" },
} as const satisfies Options;

export const command = define({
  usage: "SRC -o FILE [--dtype f32|f16|bf16]",
  about: `
Writes all tensors to one file: shards together, blocks of a GGUF file to a safetensors file of lowbit's own, which lowbit run
takes, or with --dtype numbers, of files of lowbit's own too. Ctrl-C leaves nothing.`,
  options: OPTIONS,
  async run({ output, dtype, quiet }, rest) {
    const source = sourceOf("convert", rest);
    if (output === undefined) throw new UsageError("convert: expected -o FILE");
    const { signal } = interrupted();
    const { init, convertFile } = await import("../quantize.ts");
    const progress = new Progress(source, !quiet);
    try {
      const lb = await init({ threads: 1 });
      await convertFile(lb, source, output, {
        ...sourceOptions(source),
        ...(dtype !== undefined && { dtype: dtype as NumberType }),
        signal,
        onProgress: (done, total) => progress.bytes(done, total),
      });
      return 0;
    } catch (error) {
      if (signal.aborted) return INTERRUPTED;
      throw error;
    } finally {
      progress.end();
    }
  },
});
