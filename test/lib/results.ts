// What the runner and the processes that run files for it tell each other: units by IPC, results in the stream of the
// output, so that they come after all that was printed before.

export interface Result {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** Cases that the file declares, run or not. */
  readonly declared: number;
  /** Seconds of processors that the cases took, of all threads; what they start in processes of their own is not in it. */
  readonly processors?: number;
}

/** ASCII's record separator, which begins a line that is a result. */
const MARK = "\u001e";

export function resultLine(result: Result): string {
  return `${MARK}${JSON.stringify(result)}\n`;
}

/** Takes the first result out of an output: what was before it, and what is after; nothing while none is whole. */
export function takeResult(output: string): { before: string; result: Result; after: string } | undefined {
  const begin = output.indexOf(MARK);
  const end = begin < 0 ? -1 : output.indexOf("\n", begin);
  if (end < 0) return undefined;
  const result = JSON.parse(output.slice(begin + 1, end)) as Result;
  return { before: output.slice(0, begin), result, after: output.slice(end + 1) };
}

export function summary({ passed, failed, skipped }: Omit<Result, "declared">): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
}
