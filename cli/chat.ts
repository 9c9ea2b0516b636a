// A conversation on a terminal, or of lines that come through a pipe.
import { createInterface } from "node:readline";
import { ContextError, type GenerateOptions, type LanguageModel, type Message } from "lowbit/llm";
import { sentenceOf } from "./errors.ts";
import { dim, note, numberText, print } from "./terminal.ts";

/** Until the input ends. @returns the exit code */
export async function chat(
  model: LanguageModel,
  system: string | undefined,
  options: GenerateOptions,
  quiet: boolean,
): Promise<number> {
  const { stdin, stdout } = process;
  const terminal = stdin.isTTY === true && stdout.isTTY === true;
  const beginning: readonly Message[] = system === undefined ? [] : [{ role: "system", content: system }];
  let messages = [...beginning];
  const lines = createInterface({ input: stdin, ...(terminal && { output: stdout }), prompt: "> " });
  let answering: AbortController | undefined;
  // On a terminal readline has Ctrl-C; once ends the answer, or, where there is none, the conversation.
  const interrupt = (): void => {
    if (answering && !answering.signal.aborted) answering.abort();
    else process.exit(answering ? 130 : 0);
  };
  lines.on("SIGINT", interrupt);
  process.on("SIGINT", interrupt);
  if (terminal && !quiet) note(dim("Ctrl-D ends, /reset begins anew."));
  if (terminal) lines.prompt();
  try {
    for await (const line of lines) {
      if (line.trim() === "/reset") messages = [...beginning];
      else if (line.trim() !== "") {
        answering = new AbortController();
        messages.push({ role: "user", content: line });
        const content = await answer(model, messages, { ...options, signal: answering.signal }, quiet);
        if (content === undefined) messages.pop();
        else messages.push({ role: "assistant", content });
        answering = undefined;
      }
      if (terminal) lines.prompt();
    }
  } finally {
    process.off("SIGINT", interrupt);
    lines.close();
  }
  return 0;
}

/** The text of an answer; undefined where the conversation has become too long for one. */
async function answer(
  model: LanguageModel,
  messages: readonly Message[],
  options: GenerateOptions,
  quiet: boolean,
): Promise<string | undefined> {
  const generation = model.generate(messages, options);
  try {
    for await (const { text } of generation) await print(text);
  } catch (error) {
    if (!(error instanceof ContextError)) throw error;
    note(`lowbit: ${sentenceOf(error)} (/reset begins anew)`);
    return undefined;
  }
  const { text, usage, milliseconds } = await generation;
  await print("\n");
  if (!quiet && process.stderr.isTTY) {
    const rate = (Math.max(0, usage.generated - 1) * 1000) / Math.max(1, milliseconds.generate);
    note(dim(`${usage.prompt - usage.reused} tokens read, ${usage.generated} at ${numberText(rate)} tokens/s`));
  }
  return text;
}
