// What every format does to become a matrix.
import { formatOf, scaleRows } from "../kernels/formats.ts";
import { candidates } from "../kernels/registry.ts";
import type { Format, FormatName } from "../kernels/types.ts";
import { checkChoice } from "../lib/check.ts";
import { type Engine, engineOf } from "../runtime/engine.ts";
import { type SharedTable, shareTable } from "../runtime/tables.ts";
import { weightBits } from "./bits.ts";
import { checkFiniteWeights } from "./finite.ts";
import {
  type Layout,
  makeLayout,
  offsetPlace,
  offsetsAt,
  scaleFloats,
  scalePlace,
  scalesAt,
  tablesAt,
  writeGroupValues,
} from "./layout.ts";
import { PackedMatrix } from "./packed.ts";
import { PackedCore } from "./packed-core.ts";
import type { ScaleRecords } from "./scale-records.ts";
import type { Shape } from "./shape.ts";
import type { ComplexSpec, MatrixSpec, Reader, Stored } from "./spec.ts";

/** Where a part of the stored bytes begins, for writers that use kernels or borrow memory: that may move what views show. */
export interface Target {
  readonly engine: Engine;
  readonly address: number;
}

/** Fills a part of the stored bytes. */
export type Writer = (bytes: Uint8Array, layout: Layout, target: Target) => void;

/** What a format brings to makeMatrix. */
export interface Content {
  /** `matrix.format` */
  readonly label: string;
  readonly format: FormatName;
  readonly shape: Shape;
  /** Scales of each plane (one without planes): [1], [rows] or [rows, groups], checked. */
  readonly scales: readonly Float32Array[];
  /** Added to every weight of a group: the same lengths. */
  readonly offsets?: Float32Array | undefined;
  /** In place of scales, which are none then, and of offsets: how they are kept, and what fills the region of the records. */
  readonly records?: {
    readonly kind: ScaleRecords;
    readonly write: Writer;
  };
  /** Written behind everything else; its length is that of the format's table. */
  readonly tables?: Uint8Array | undefined;
  /** A table that other matrices may read, too (src/runtime/tables.ts). */
  readonly shared?: Uint8Array;
  readonly columnOrder?: Uint32Array | undefined;
  /** Bit planes: `MatrixSpec.types`. */
  readonly types?: number;
  /** pvq: `MatrixSpec.pulses`. */
  readonly pulses?: number;
  /** Complex: `MatrixSpec.complex`. Rows and columns of `shape` are those of the complex matrix. */
  readonly complex?: ComplexSpec;
  /** Scales are [1] or [groups]: all rows share them. */
  readonly sharedScales?: boolean;
  /** Fills the weights. */
  readonly write: Writer;
  readonly reader: Reader;
}

/** What of a layout does not follow from the format. */
export interface LayoutShape {
  /** Of complex planes, those of the complex matrix. */
  readonly rows: number;
  readonly cols: number;
  readonly groupSize: number;
  readonly planes: number;
  readonly records: ScaleRecords | undefined;
  readonly offsets: boolean;
  readonly sharedScales: boolean;
  readonly tableBytes: number;
  readonly types: number | undefined;
}

export function formatLayout(format: Format, { types, ...shape }: LayoutShape): Layout {
  const { chunk, bits, layout: kind, maxGroup, rowScales = false } = format;
  return makeLayout({
    ...shape,
    chunk,
    bitsPerWeight: types !== undefined ? weightBits(types) : kind === "planes" && bits === 1 ? shape.planes : bits,
    scaleRows: scaleRows(format),
    ...(maxGroup !== undefined && { maxGroup }),
    rowScales,
  });
}

/**
 * Allocates and fills a matrix. A writer that throws leaves memory as it was.
 *
 * @throws RangeError for finite scales of which a weight is not finite
 */
export function makeMatrix(where: string, lb: unknown, content: Content): PackedMatrix {
  const engine = engineOf(where, lb);
  const { format, shape, scales, offsets, tables, types, complex, pulses } = content;
  const { rows, cols, groupSize, activation, kernel } = shape;
  if (kernel !== undefined) {
    const names = (["gemv", "gemm"] as const)
      .flatMap((op) => candidates(op, format, activation, engine.variant))
      .map((row) => row.name);
    checkChoice(`${where}: kernel`, kernel, names);
  }
  const layout = formatLayout(formatOf(format, activation), {
    ...{ rows, cols, groupSize, types },
    planes: scales.length,
    records: content.records?.kind,
    offsets: offsets !== undefined,
    sharedScales: content.sharedScales ?? false,
    tableBytes: tables?.length ?? 0,
  });
  const { arena } = engine;
  const address = arena.allocate(layout.bytes);
  let shared: SharedTable | undefined;
  try {
    if (content.shared) shared = shareTable(engine, content.shared);
    const part = (begin: number, end: number): Uint8Array => arena.bytes.subarray(address + begin, address + end);
    content.write(part(0, layout.weightBytes), layout, { engine, address });
    if (content.records) {
      const begin = scalesAt(layout);
      const region = part(begin, tablesAt(layout));
      region.fill(0);
      content.records.write(region, layout, { engine, address: address + begin });
    }
    const bytes = part(0, layout.bytes);
    const groupFloats = scaleFloats(layout);
    const floatsAt = (offset: number): Float32Array => {
      const start = (address + offset) / 4;
      return arena.floats.subarray(start, start + groupFloats);
    };
    for (const [plane, values] of scales.entries()) {
      writeGroupValues(
        scalePlace,
        floatsAt(scalesAt(layout) + plane * groupFloats * 4),
        values,
        rows,
        groupSize,
        layout,
      );
    }
    if (offsets) writeGroupValues(offsetPlace, floatsAt(offsetsAt(layout)), offsets, rows, groupSize, layout);
    if (tables) bytes.set(tables, tablesAt(layout));
    const stored: Stored = {
      format,
      rows: complex ? 2 * rows : rows,
      cols: complex ? 2 * cols : cols,
      activation,
      layout,
      types,
      complex,
      pulses,
    };
    const { label, columnOrder } = content;
    const spec: MatrixSpec = { ...stored, label, columnOrder, shared, kernel, readRow: content.reader(stored) };
    const floats = arena.floats.subarray(address / 4, (address + layout.bytes) / 4);
    checkFiniteWeights(where, content, spec, (row, out) => spec.readRow(bytes, floats, row, out));
    return new PackedMatrix(new PackedCore(engine, spec, address));
  } catch (error) {
    arena.release(address);
    shared?.release();
    throw error;
  }
}
