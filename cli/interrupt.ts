// Ctrl-C: once asks what is under way to end, twice ends the process as it does everywhere.

/** What shells say of a process that was interrupted: 128 + SIGINT. */
export const INTERRUPTED = 130;

/** Aborted by the first SIGINT; the second meets no listener, so that it ends the process even in the middle of work. */
export function interrupted(): AbortController {
  const abort = new AbortController();
  process.once("SIGINT", () => abort.abort(new Error("interrupted")));
  return abort;
}
