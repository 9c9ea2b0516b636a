// Tensors of a safetensors file by name, dtype and shape.
import { FileError, type Safetensors, type Tensor } from "lowbit/files";

/**
 * The tensor of that name, dtype and shape.
 * @throws {FileError} If the file has no such tensor.
 */
export function getTensor(
  file: Safetensors,
  name: string,
  dtypes: readonly string[],
  shape: readonly number[],
): Tensor {
  const tensor = file.tensors.get(name);
  if (tensor === undefined) throw new FileError(`${file.name}: ${name}: tensor is missing`);
  if (!dtypes.includes(tensor.dtype)) {
    throw new FileError(`${file.name}: ${name}: dtype: expected ${dtypes.join(" or ")}, got ${tensor.dtype}`);
  }
  if (tensor.shape.length !== shape.length || tensor.shape.some((size, i) => size !== shape[i])) {
    throw new FileError(`${file.name}: ${name}: expected shape [${shape}], got [${tensor.shape}]`);
  }
  return tensor;
}

/**
 * The values of an F32 or BF16 tensor, copied (the file may store them unaligned).
 * @throws {FileError} If there is no such tensor, or a value is NaN or infinite.
 */
export function getFloats(
  file: Safetensors,
  name: string,
  dtypes: readonly ("F32" | "BF16")[],
  shape: readonly number[],
): Float32Array {
  const { dtype, data } = getTensor(file, name, dtypes, shape);
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const values = new Float32Array(dtype === "F32" ? data.length / 4 : data.length / 2);
  if (dtype === "F32") {
    for (let i = 0; i < values.length; i++) values[i] = view.getFloat32(4 * i, true);
  } else {
    // A bfloat16 is the upper half of a float32.
    const bits = new Uint32Array(values.buffer);
    for (let i = 0; i < bits.length; i++) bits[i] = view.getUint16(2 * i, true) << 16;
  }
  const bad = values.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0)
    throw new FileError(`${file.name}: ${name}: expected finite values, got ${values[bad]} at index ${bad}`);
  return values;
}
