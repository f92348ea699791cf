import { TuttiError } from "../errors/index.ts";
import type { DType, TypedValues } from "../graph/index.ts";
import { firstLine } from "./engine-choice.ts";
import { loadEngine } from "./runtime.ts";

export interface PlainTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Row-major. */
  readonly values: TypedValues;
}

/** Any model in the engine, in the calling thread: for checks and predictions, not for training. Close it. */
export interface PlainModel {
  readonly inputs: readonly string[];
  /** All outputs by name; inputs that the model does not have are left out. Throws ENGINE_FAILED. */
  run(feeds: Readonly<Record<string, PlainTensor>>): Promise<Readonly<Record<string, PlainTensor>>>;
  close(): Promise<void>;
}

/** @param what the model in messages. Throws ENGINE_FAILED for one that the engine refuses, ENGINE_MISSING. */
export async function openPlainModel(bytes: Uint8Array, what: string): Promise<PlainModel> {
  const { runtime, sessionOptions } = await loadEngine();
  const failed = (does: string, cause: unknown): TuttiError =>
    new TuttiError("ENGINE_FAILED", `${what} does not ${does}: ${firstLine(cause)}`, {}, { cause });
  const session = await runtime.InferenceSession.create(bytes, sessionOptions).catch((cause: unknown) => {
    throw failed("load", cause);
  });
  return {
    inputs: session.inputNames,
    async run(feeds) {
      const tensors = session.inputNames.flatMap((name) => {
        const feed = feeds[name];
        return feed === undefined ? [] : [[name, new runtime.Tensor(feed.dtype, feed.values, feed.shape)] as const];
      });
      const results = await session.run(Object.fromEntries(tensors)).catch((cause: unknown) => {
        throw failed("run", cause);
      });
      return Object.fromEntries(
        Object.entries(results).map(([name, { type, dims, data }]) => {
          if (!ArrayBuffer.isView(data)) throw failed("give numbers", `output ${name} is ${type}`);
          // The engine's names of dtypes are ours, and a tensor's values have its dtype.
          return [name, { dtype: type as DType, shape: dims, values: data as TypedValues }];
        }),
      );
    },
    close: () => session.release(),
  };
}
