/** Memory could not grow to hold what was asked for. Nothing was changed; dispose matrices, or shard the model. */
export class OutOfMemoryError extends RangeError {
  override name = "OutOfMemoryError";
}

/** This runtime cannot do what `init` was asked for; the message says what is missing and the way out. */
export class UnsupportedRuntimeError extends Error {
  override name = "UnsupportedRuntimeError";
}
