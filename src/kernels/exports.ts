// What the binaries export, typed.

export type Gemv = (
  weights: number,
  scales: number,
  operand: number,
  /** Operand: what operands.ts makes; beside: Token.beside. */
  beside: number,
  y: number,
  rowBegin: number,
  rowEnd: number,
  paddedRows: number,
  byteCols: number,
  groupByteCols: number,
  factor: number,
  offsets: number,
  sums: number,
  extra: number,
) => void;

export type Gemm = (
  weights: number,
  scales: number,
  panel: number,
  sums: number,
  factors: number,
  y: number,
  scratch: number,
  rowBegin: number,
  rowEnd: number,
  paddedRows: number,
  byteCols: number,
  groupByteCols: number,
  n: number,
  offsets: number,
  floatSums: number,
  kind: number,
  extra: number,
) => void;

export type ComplexGemv = (
  weights: number,
  scales: number,
  tables: number,
  steps: number,
  y: number,
  rowBegin: number,
  rowEnd: number,
  paddedRows: number,
  byteCols: number,
  groupByteCols: number,
  part: number,
  shared: number,
  planes: number,
  kinds: number,
) => void;

export type ComplexGemm = (
  weights: number,
  scales: number,
  panel: number,
  sums: number,
  y: number,
  scratch: number,
  rowBegin: number,
  rowEnd: number,
  paddedRows: number,
  byteCols: number,
  groupByteCols: number,
  n: number,
  shared: number,
  planes: number,
  kinds: number,
) => void;

export type BranchAdd = (
  y: number,
  rowBegin: number,
  rowEnd: number,
  paddedRows: number,
  bias: number,
  t: number,
  a: number,
  rank: number,
  sparse: number,
  colBytes: number,
  x: number,
) => void;

export type FinishComplex = (
  y: number,
  paddedRows: number,
  rowBegin: number,
  rowEnd: number,
  fa: number,
  ga: number,
  fb: number,
  gb: number,
) => void;

export type CombineDigits = (y: number, stride: number, rowBegin: number, rowEnd: number, factor: number) => void;

type PrepareInt8 = (x: number, tables: number, byteCols: number, r: number) => void;
type PrepareLut8 = (
  x: number,
  tables: number,
  steps: number,
  byteCols: number,
  groupByteCols: number,
  p: number,
) => void;
type Pairs = (q0: number, q1: number, panel: number, byteCols: number) => void;

/** What both binaries export besides gemv and gemm. */
/** What a language model computes between its matrices: assembly/model. */
export interface ModelExports {
  model_rms_norm(
    x: number,
    xStride: number,
    y: number,
    yStride: number,
    weight: number,
    begin: number,
    end: number,
    inner: number,
    size: number,
    eps: number,
  ): void;
  model_layer_norm(
    x: number,
    xStride: number,
    y: number,
    yStride: number,
    weight: number,
    bias: number,
    begin: number,
    end: number,
    inner: number,
    size: number,
    eps: number,
    weightStep: number,
  ): void;
  model_rope(
    x: number,
    stride: number,
    table: number,
    begin: number,
    end: number,
    heads: number,
    size: number,
    turned: number,
    position: number,
    pairs: number,
  ): void;
  model_gate(
    gate: number,
    up: number,
    stride: number,
    y: number,
    begin: number,
    end: number,
    size: number,
    kind: number,
  ): void;
  model_add(y: number, x: number, n: number, factor: number): void;
  model_scale(y: number, x: number, n: number, factor: number): void;
  model_soft_cap(x: number, n: number, cap: number): void;
  model_sum_exp(x: number, n: number, most: number): number;
  model_append(k: number, v: number, stride: number, cache: number, begin: number, end: number, position: number): void;
  model_attend(
    q: number,
    stride: number,
    cache: number,
    y: number,
    scratch: number,
    begin: number,
    end: number,
    group: number,
    position: number,
    window: number,
    scale: number,
    cap: number,
    sinks: number,
  ): void;
  model_attend_scratch(group: number, size: number, last: number): number;
  model_scores(
    q: number,
    cache: number,
    out: number,
    outStep: number,
    work: number,
    group: number,
    last: number,
    scale: number,
  ): void;
  model_mix(p: number, pStep: number, cache: number, y: number, work: number, group: number, last: number): void;
  model_route(
    scores: number,
    begin: number,
    end: number,
    experts: number,
    used: number,
    mode: number,
    ids: number,
    weights: number,
  ): void;
}

/** What fills memory when weights are packed (assembly/pack/). */
export interface PackExports {
  pack_words(codes: number, stride: number, to: number, cols: number, bits: number, wide: number): void;
  unpack_fields(
    from: number,
    to: number,
    stride: number,
    rows: number,
    blocks: number,
    bytes: number,
    cols: number,
    low: number,
    lowBits: number,
    lowApart: number,
    high: number,
    highBits: number,
    highApart: number,
    highShift: number,
    flip: number,
    more: number,
  ): void;
  gather_records(
    from: number,
    to: number,
    rows: number,
    blocks: number,
    bytes: number,
    place: number,
    items: number,
    size: number,
    each: number,
  ): void;
  gather_sixes(
    from: number,
    to: number,
    rows: number,
    blocks: number,
    bytes: number,
    place: number,
    each: number,
  ): void;
}

export interface PrepareExports extends ModelExports, PackExports {
  absmax(x: number, n: number): number;
  /** 16 lanes at `state` over `bytes` bytes, a multiple of 64. */
  file_checksum(state: number, data: number, bytes: number): void;
  prepare_binary_int8: PrepareInt8;
  prepare_binary_lut8: PrepareLut8;
  prepare_ternary_lut8: PrepareLut8;
  prepare_complex_lut8: PrepareLut8;
  prepare_f32(x: number, tables: number, byteCols: number, p: number): void;
  prepare_fixed(x: number, tables: number, byteCols: number, r: number): void;
  prepare_float_sums(x: number, sums: number, byteCols: number, groupByteCols: number, p: number): void;
  prepare_q8(x: number, q: number, byteCols: number, r: number): void;
  prepare_digits(x: number, q: number, stride: number, byteCols: number, r: number): void;
  prepare_sums(q: number, sums: number, floatSums: number, byteCols: number, groupByteCols: number): void;
  prepare_quads(q: number, panel: number, byteCols: number): void;
  prepare_fields(q: number, panel: number, byteCols: number): void;
  prepare_wide(q: number, panel: number, byteCols: number): void;
  prepare_twice(q: number, panel: number, byteCols: number): void;
  prepare_lattice(q: number, tables: number, byteCols: number): void;
  expand_scales(
    packed: number,
    scales: number,
    offsets: number,
    rowBegin: number,
    rowEnd: number,
    groups: number,
    perRecord: number,
    kind: number,
    factor: number,
  ): void;
  prepare_bitplane_bits(
    x: number,
    planes: number,
    record: number,
    sums: number,
    cols: number,
    byteCols: number,
    groupByteCols: number,
    ratio: number,
    zero: number,
    types: number,
  ): void;
  abs_sum(x: number, n: number): number;
  least(x: number, n: number, sign: number): number;
  prepare_byte_pairs(
    q: number,
    panel: number,
    sums: number,
    floatSums: number,
    byteCols: number,
    groupByteCols: number,
  ): void;
  prepare_pairs: Pairs;
  prepare_wide_pairs: Pairs;
  prepare_scaled(x: number, colScale: number, scaled: number, byteCols: number): void;
  prepare_lowrank(x: number, b: number, t: number, rank: number, byteCols: number): void;
  branch_add: BranchAdd;
  finish_complex: FinishComplex;
  combine_digits: CombineDigits;
  transform_hadamard(x: number, n: number, size: number, factor: number): void;
  transform_signs(x: number, y: number, offsets: number, tables: number, k: number, cols: number): void;
  transform_product(a: number, b: number, y: number, rows: number, inner: number, cols: number): void;
}
