// Tables that matrices of one engine share: in memory once, for as long as one of the matrices is.
import type { Engine } from "./engine.ts";

interface Held {
  readonly address: number;
  users: number;
}

export interface SharedTable {
  readonly address: number;
  /** To be called once. */
  readonly release: () => void;
}

const tables = /* @__PURE__ */ new WeakMap<Engine, Map<Uint8Array, Held>>();

/**
 * The address of a copy of `bytes`, which are told apart by identity.
 *
 * @throws OutOfMemoryError
 */
export function shareTable(engine: Engine, bytes: Uint8Array): SharedTable {
  const held = tables.get(engine) ?? new Map<Uint8Array, Held>();
  tables.set(engine, held);
  const { arena } = engine;
  let table = held.get(bytes);
  if (!table) {
    table = { address: arena.allocate(bytes.length), users: 0 };
    arena.bytes.set(bytes, table.address);
    held.set(bytes, table);
  }
  const { address } = table;
  table.users++;
  return {
    address,
    release: () => {
      const one = held.get(bytes) as Held;
      one.users--;
      if (one.users > 0) return;
      held.delete(bytes);
      arena.release(address);
    },
  };
}
