// lowbit quantize: a checkpoint as a file of lowbit's own.
import type { Rule, TensorReport } from "#lowbit/llm/quantize-file";
import type { Options } from "../arguments.ts";
import { define } from "../command.ts";
import { UsageError } from "../errors.ts";
import { INTERRUPTED, interrupted } from "../interrupt.ts";
import { sourceOf, sourceOptions } from "../model.ts";
import { Progress } from "../progress.ts";
import { bytesText, note, printJson, printLine, table } from "../terminal.ts";

const OPTIONS = {
  output: { type: "text", short: "o", value: "FILE", help: "the file to write, X.safetensors" },
  format: {
    type: "text",
    value: "NAME",
    help: "uniform4, uniform4:64 (columns of a group), ternary, nf4, lift2.4, e8p2, trellis3, ...",
  },
  keep: {
    type: "text",
    value: "REGEX=NAME",
    many: true,
    help: "another format for tensors of these names, or keep; the first that fits counts",
  },
  verify: { type: "flag", help: "read the file again and compare every byte" },
  json: { type: "flag", help: "what became of each tensor, as an object" },
  quiet: { type: "flag", short: "q", help: "nothing on standard error but errors" },
} as const satisfies Options;

export const command = define({
  usage: "SRC -o FILE --format NAME [--keep REGEX=NAME ...] [--verify]",
  about: `
Quantises the matrices of a checkpoint to one file, one tensor at a time; configuration, tokenizer and template travel in it, so
that lowbit run takes it. Embeddings, the last layer and routers stay as they are unless --keep names them. Ctrl-C leaves nothing.`,
  options: OPTIONS,
  async run({ output, format, keep = [], verify, json, quiet }, rest) {
    const source = sourceOf("quantize", rest);
    if (output === undefined) throw new UsageError("quantize: expected -o FILE");
    if (!/\.safetensors$/i.test(output)) {
      throw new UsageError(
        "quantize: -o: expected a name that ends in .safetensors: formats of lowbit have no types in GGUF",
      );
    }
    if (format === undefined) throw new UsageError("quantize: expected --format NAME");
    const rules = keep.map(ruleOf);
    const { signal } = interrupted();
    const { init, quantizeFile } = await import("../quantize.ts");
    const progress = new Progress(source, !quiet && !json);
    try {
      const lb = await init({ threads: 1 });
      const reports = await quantizeFile(lb, source, output, {
        ...sourceOptions(source),
        ...{ format, rules, signal, verify: verify ?? false },
        onTensor: (done, total) => progress.bytes(done, total),
      });
      progress.end();
      if (json) await printJson({ output, tensors: reports });
      else await printLine(summary(reports));
      if (!json && !quiet && verify) note(`${output}: every byte as it was written`);
      return 0;
    } catch (error) {
      if (signal.aborted) return INTERRUPTED;
      throw error;
    } finally {
      progress.end();
    }
  },
});

function ruleOf(text: string): Rule {
  const [, pattern, format] = /^(.*)=([^=]*)$/s.exec(text) ?? [];
  if (!pattern || !format) throw new UsageError(`quantize: --keep: expected REGEX=NAME, got ${JSON.stringify(text)}`);
  try {
    return { pattern: new RegExp(pattern, "u"), format };
  } catch (error) {
    throw new UsageError(`quantize: --keep: ${(error as Error).message}`);
  }
}

/** A line a format: how many tensors, how much they take, and the most that quantising one adds. */
function summary(reports: readonly TensorReport[]): string {
  const rows = new Map<string, { count: number; bytes: number; weights: number; nmse: number | undefined }>();
  for (const { format, bytes, shape, nmse } of reports) {
    const row = rows.get(format) ?? { count: 0, bytes: 0, weights: 0, nmse: undefined };
    rows.set(format, row);
    row.count++;
    row.bytes += bytes;
    row.weights += shape.reduce((product, size) => product * size, 1);
    if (nmse !== undefined) row.nmse = Math.max(row.nmse ?? 0, nmse);
  }
  const lines = [...rows].map(([format, { count, bytes, weights, nmse }]) => [
    ...[format, String(count), bytesText(bytes), ((8 * bytes) / weights).toFixed(3)],
    nmse === undefined ? "as it was" : nmse.toExponential(2),
  ]);
  return table([["format", "tensors", "bytes", "bits", "NMSE at most"], ...lines], [1, 2, 3, 4]);
}
