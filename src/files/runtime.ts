// What runtimes have: files of Node, Deno and Bun. getBuiltinModule keeps node: modules out of what bundlers see.

export interface NodeHandle {
  read(into: Uint8Array, offset: number, length: number, at: number): Promise<{ bytesRead: number }>;
  write(bytes: Uint8Array, offset: number, length: number, at: number): Promise<{ bytesWritten: number }>;
  stat(): Promise<{ size: number; isFile(): boolean }>;
  sync(): Promise<void>;
  close(): Promise<void>;
}

export interface NodeFiles {
  open(path: string | URL, flags: string): Promise<NodeHandle>;
  mkdir(path: string, options: { recursive: true }): Promise<unknown>;
  readdir(path: string): Promise<string[]>;
  rename(from: string, to: string): Promise<void>;
  rm(path: string, options: { force: true; recursive?: true }): Promise<void>;
}

interface Process {
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly versions?: { readonly node?: string };
  getBuiltinModule?(id: string): unknown;
}

const processOf = (): Process | undefined => (globalThis as { process?: Process }).process;

export function nodeFiles(): NodeFiles | undefined {
  const process = processOf();
  return process?.versions?.node
    ? (process.getBuiltinModule?.("node:fs/promises") as NodeFiles | undefined)
    : undefined;
}

/** The path of a file: URL. */
export function nodePath(url: URL): string {
  const module = processOf()?.getBuiltinModule?.("node:url") as { fileURLToPath(url: URL): string } | undefined;
  return module === undefined ? url.pathname : module.fileURLToPath(url);
}

export function environment(name: string): string | undefined {
  return processOf()?.env?.[name];
}
