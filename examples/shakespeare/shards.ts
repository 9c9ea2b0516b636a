/**
 * Models whose tensors are spread over several files, named as Hugging Face names them: X-00001-of-00003.safetensors.
 * Works in any runtime; reading the files is left to the caller.
 */
import { FileError, type Safetensors, type Tensor } from "lowbit/files";

const SHARD = /^(.*)-(\d{5})-of-(\d{5})\.safetensors$/s;

/** The paths of all shards of the model that `path` is one shard of, in order; only `path` if it is a whole model. */
export function shardPaths(path: string): string[] {
  const [, start, index, count] = SHARD.exec(path) ?? [];
  if (start === undefined || count === undefined) return [path];
  if (Number(index) < 1 || Number(index) > Number(count)) {
    throw new FileError(`${path}: expected a shard from 1 to ${Number(count)}, got ${Number(index)}`);
  }
  return Array.from(
    { length: Number(count) },
    (_, i) => `${start}-${String(i + 1).padStart(5, "0")}-of-${count}.safetensors`,
  );
}

/** The path of the reference of the model at `path`: X.reference.safetensors, whether X is one file or shards. */
export function referencePath(path: string): string {
  const [, start = path.replace(/\.safetensors$/, "")] = SHARD.exec(path) ?? [];
  return `${start}.reference.safetensors`;
}

/**
 * The shards as one file.
 * @throws {FileError} If two shards have a tensor of the same name, or different values of a metadata key.
 */
export function joinShards(shards: readonly Safetensors[]): Safetensors {
  const [first] = shards;
  if (first !== undefined && shards.length === 1) return first;
  const metadata = new Map<string, string>();
  const tensors = new Map<string, Tensor>();
  const owners = new Map<string, string>();
  for (const { name, ...shard } of shards) {
    for (const [key, value] of shard.metadata) {
      if ((metadata.get(key) ?? value) !== value) {
        throw new FileError(`${name}: __metadata__.${key}: expected what the shards before it have, got another value`);
      }
      metadata.set(key, value);
    }
    for (const [key, tensor] of shard.tensors) {
      const owner = owners.get(key);
      if (owner !== undefined) throw new FileError(`${name}: ${key}: expected a new tensor, got one that ${owner} has`);
      owners.set(key, name);
      tensors.set(key, tensor);
    }
  }
  return { name: `${first?.name} and ${shards.length - 1} more`, metadata, tensors };
}
