// What a file says of a matrix beside its bytes (docs/files.md has the specification). Nothing of the machine that
// made it is in there, and nothing that follows from the rest.
import type { Activation } from "../kernels/types.ts";
import type { StepRecord } from "../transforms/step-record.ts";
import type { ScaleRecords } from "./scale-records.ts";

export interface BranchesRecord {
  readonly bias?: boolean;
  readonly colScale?: boolean;
  /** Of the low-rank branch; 0: there is none. */
  readonly rank?: number;
  readonly sparse?: boolean;
  /** Of all of them. */
  readonly bytes: number;
}

interface CommonRecord {
  /** `matrix.format` */
  readonly label: string;
  readonly rows: number;
  readonly cols: number;
  readonly branches?: BranchesRecord | undefined;
}

/** One region: layout.bytes bytes, then uint32 [cols] if columns have an order, then the branches. */
export interface PackedRecord extends CommonRecord {
  /** A format of the registry: "uniform4", "codebook2_i16", … */
  readonly format: string;
  readonly activation: Activation;
  /** Columns of a stored group. */
  readonly group: number;
  /** Matrices of scales: 1, or one a plane; 0 where there are none, or records. */
  readonly planes: number;
  readonly offsets?: boolean;
  readonly sharedScales?: boolean;
  readonly records?: ScaleRecords | undefined;
  /** Bytes of the table behind everything else. */
  readonly tables?: number;
  readonly types?: number | undefined;
  readonly pulses?: number | undefined;
  readonly complex?: { readonly kinds: number; readonly oneScale: boolean } | undefined;
  /** Whether columns are stored in another order than they have. */
  readonly order?: boolean;
  /** A ComplexMatrix: rows and cols are those of [Re; Im], twice as many. */
  readonly halves?: boolean;
}

/** The inner matrices one after the other, then the numbers of `pre` and of `post`, then the branches. */
export interface RotatedRecord extends CommonRecord {
  readonly pre: readonly StepRecord[];
  readonly post: readonly StepRecord[];
  readonly inners: readonly { readonly matrix: MatrixRecord; readonly factor?: number | undefined }[];
}

export type MatrixRecord = PackedRecord | RotatedRecord;

/** Where bytes of a matrix are: in linear memory, or here. */
export type StoredRegion = { readonly address: number; readonly bytes: number } | Uint8Array;

/** Regions of a file begin at multiples of so many bytes, as those of memory do (src/runtime/memory.ts). */
const REGION = 64;

/** Bytes of a file, and of memory, that a region takes. */
export const rounded = (bytes: number): number => Math.ceil(bytes / REGION) * REGION;

/** A matrix as files have it. */
export interface StoredCore {
  readonly record: MatrixRecord;
  /** In the order of the file. */
  readonly regions: readonly StoredRegion[];
}
