// BitNet in the three forms that transformers has: whether the scale divides or multiplies is in the configuration alone.
import { fromBitnet, quantize } from "../../formats/ternary/index.ts";
import type { HubLayer, Method } from "./layers.ts";
import { listed, type Settings } from "./settings.ts";
import { FLOAT_TYPES, floats, isFloat, type Module } from "./tensors.ts";

export function bitnet(settings: Settings): Method {
  const linearClass = settings.choice("linear_class", ["bitlinear", "autobitlinear"], "bitlinear");
  const online = settings.choice("quantization_mode", ["offline", "online"], "offline") === "online";
  if (online && linearClass === "bitlinear")
    settings.refuse("quantization_mode", '"offline" (linear_class is bitlinear)');
  const read = (m: Module): HubLayer => {
    const kind = m.peek("weight")?.dtype ?? "";
    const weight = m.matrix("weight", online ? [...FLOAT_TYPES, "U8"] : ["U8"]);
    if (isFloat(kind)) {
      // The mean of magnitudes, and codes to the nearest, as `ternary.quantize` has them.
      const { rows, cols } = weight;
      return {
        rows,
        cols,
        pack: (lb, activation) => quantize(lb, floats(weight), { rows, cols, ...(activation && { activation }) }),
      };
    }
    const [rows, cols] = [4 * weight.rows, weight.cols];
    const scale = m.need("weight_scale", FLOAT_TYPES);
    const size = scale.shape.reduce((product, n) => product * n, 1);
    if (size !== 1) m.refuse("weight_scale", "one number", `shape [${scale.shape.join(", ")}]`);
    return {
      rows,
      cols,
      pack: (lb, activation) =>
        fromBitnet(lb, {
          ...{ rows, cols, linearClass, packed: weight.data, weightScale: floats(scale) },
          ...(activation && { activation }),
        }),
    };
  };
  return { parts: ["weight", "weight_scale"], left: listed(settings.names("modules_to_not_convert")), online, read };
}
