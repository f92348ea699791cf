import type { PackedRows } from "@tutti/core/data";
import type { ShardProgram } from "@tutti/core/step";
import { Tensor as EngineTensor, InferenceSession } from "onnxruntime-node";

export interface ShardResult {
  readonly sums: Float32Array;
  readonly scalars: Float32Array;
}

/** Runs a shard program on the stock runtime, one thread. @param parameters flat, in the layout. */
export async function execute(program: ShardProgram, parameters: Float32Array, rows: PackedRows): Promise<ShardResult> {
  const session = await InferenceSession.create(program.onnx, {
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    logSeverityLevel: 3,
  });
  const feeds: Record<string, EngineTensor> = {};
  for (const { name, shape, offset, length } of program.parameters) {
    feeds[name] = new EngineTensor("float32", parameters.slice(offset, offset + length), [...shape]);
  }
  for (const { name, dtype, shape } of program.columns) {
    const column = rows.columns.find((packed) => packed.name === name)!;
    const bytes = rows.bytes.slice(column.offset, column.offset + column.byteLength).buffer;
    const values = {
      float32: Float32Array,
      float64: Float64Array,
      int8: Int8Array,
      uint8: Uint8Array,
      bool: Uint8Array,
      int16: Int16Array,
      uint16: Uint16Array,
      int32: Int32Array,
      int64: BigInt64Array,
    }[dtype];
    feeds[name] = new EngineTensor(dtype, new values(bytes), [...shape]);
  }
  const results = await session.run(feeds);
  const sums = new Float32Array(program.sumsFloats);
  for (const { name, offset, length, shape } of program.sums) {
    const result = results[name]!;
    if (result.dims.join() !== shape.join()) throw new Error(`${name}: ${result.dims.join()} for ${shape.join()}`);
    sums.set(floats(result).subarray(0, length), offset);
  }
  return { sums, scalars: floats(results[program.scalars.name]!) };
}

export function floats(tensor: EngineTensor): Float32Array {
  if (!(tensor.data instanceof Float32Array)) throw new Error(`expected float32, found ${tensor.type}`);
  return tensor.data;
}
