import { createRequire } from "node:module";
import type * as Ort from "onnxruntime-node";
import type { Engine } from "./runtime.ts";
import type { Tensors } from "./session.ts";

/** A compiled graph that computes before its call returns. Belongs to the thread that opened it. */
export interface CallingSession {
  /** Fills the tensors of `fetches` from `feeds`. Throws what the engine throws. */
  run(feeds: Tensors, fetches: Tensors, options: Ort.InferenceSession.RunOptions): unknown;
  dispose(): void;
}

/** The package's own way to its native part, which its public sessions call in a turn of the event loop of their own. */
interface Binding {
  readonly initOrt: () => void;
  readonly binding: {
    readonly InferenceSession: new () => CallingSession & {
      loadModel(
        buffer: ArrayBufferLike,
        byteOffset: number,
        byteLength: number,
        options: Ort.InferenceSession.SessionOptions,
      ): void;
    };
  };
}

/** Compiles a graph. Undefined where the engine has no native part, or it is not where the version we depend on has it. */
export function openCallingSession(engine: Engine, onnx: Uint8Array): CallingSession | undefined {
  if (!engine.fillsFetches) return undefined;
  try {
    const { binding, initOrt }: Binding = createRequire(import.meta.url)("onnxruntime-node/dist/binding.js");
    initOrt();
    const session = new binding.InferenceSession();
    session.loadModel(onnx.buffer, onnx.byteOffset, onnx.byteLength, engine.sessionOptions);
    return session;
  } catch {
    return undefined;
  }
}
