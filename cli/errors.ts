// What goes wrong on the command line, and how it is said: one sentence, and an exit code.

/** The command was not understood: exit code 2. */
export class UsageError extends Error {
  override name = "UsageError";
}

/** An error that says all that there is to say: exit code 1, no stack even where one is asked for. */
export class Failure extends Error {
  override name = "Failure";
}

/** One line of an error, whatever was thrown. */
export function sentenceOf(error: unknown): string {
  const text = error instanceof Error ? error.message || error.name : String(error);
  return text.replaceAll(/\s*\n\s*/g, " ").trim();
}
