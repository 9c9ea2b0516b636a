/**
 * A file is not what it should be: damaged, cut short, of another kind, or changed while it was read. The message names the
 * file and the place in it, what was expected and what was got; what it quotes from the file is cut short and escaped.
 */
export class FileError extends Error {
  override name = "FileError";
}
