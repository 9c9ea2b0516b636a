// Where text goes: results to standard output, everything else to standard error.

/** Ends quietly when whoever reads the output has left, as `head` does. */
export function watchPipes(): void {
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(0);
    throw error;
  });
  process.stderr.on("error", () => {});
}

/** Waits where the reader is slower than we are. */
export async function print(text: string): Promise<void> {
  if (process.stdout.write(text)) return;
  await new Promise((resolve) => process.stdout.once("drain", resolve));
}

export async function printLine(text = ""): Promise<void> {
  await print(`${text}\n`);
}

export async function printJson(value: unknown): Promise<void> {
  await printLine(JSON.stringify(value, (_, one: unknown) => (typeof one === "bigint" ? Number(one) : one), 2));
}

export function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

const plain = (): boolean => Boolean(process.env.NO_COLOR) || process.env.TERM === "dumb";

/** Dimmed where the stream is a terminal that has colours. */
export function dim(text: string, stream: NodeJS.WriteStream = process.stderr): string {
  return stream.isTTY && !plain() ? `\x1b[2m${text}\x1b[22m` : text;
}

/** 12.3 MB, in powers of ten. */
export function bytesText(bytes: number): string {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(value < 10 ? 2 : 1)} ${units[unit]}`;
}

/** Three digits that count. */
export function numberText(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  return Math.abs(value) >= 1000 ? value.toFixed(0) : value.toPrecision(3);
}

/** Columns of text, the first to the left, others as they say. */
export function table(rows: readonly (readonly string[])[], right: readonly number[] = []): string {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => (row[i] ?? "").length)));
  return rows
    .map((row) =>
      row
        .map((cell, i) => (right.includes(i) ? cell.padStart(widths[i] as number) : cell.padEnd(widths[i] as number)))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
