import type * as Ort from "onnxruntime-node";
import { chooseEngine, engineMissing } from "./engine-choice.ts";

/** What both builds offer. */
export type Runtime = Pick<typeof Ort, "InferenceSession" | "Tensor" | "env">;

/** ONNX Runtime as loaded into the calling thread. */
export interface Engine {
  readonly runtime: Runtime;
  /** Whether tensors may be views of a SharedArrayBuffer, as inputs and as preallocated outputs: Node 20 refuses, 24 does not. */
  readonly zeroCopy: boolean;
  /** Whether a run writes into the tensors it is given for its outputs; the WebAssembly build only returns its own. */
  readonly fillsFetches: boolean;
  readonly sessionOptions: Ort.InferenceSession.SessionOptions;
}

/**
 * One thread and a fixed order: with more threads the engine's convolutions give other bits. Level "all" is 30 % faster
 * than "basic" and gives the same bits. Memory patterns would only raise the peak.
 */
const sessionOptions: Ort.InferenceSession.SessionOptions = {
  executionMode: "sequential",
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
  graphOptimizationLevel: "all",
  enableMemPattern: false,
  logSeverityLevel: 4, // what fails is thrown, and said once
};

/**
 * Loads ONNX Runtime into the calling thread; the first call in a thread takes some 50 ms, later ones find it loaded.
 * Throws ENGINE_MISSING when the package or its native binding is not there.
 */
export async function loadEngine(): Promise<Engine> {
  disableTelemetry();
  return chooseEngine().name === "onnxruntime-node" ? loadNative() : loadWasm();
}

/**
 * Otherwise the engine's Linux build reports to its maker: a thread, uploads, and a mat-debug-PID.log in the temporary
 * folder for every process. It reads the process's environment, which only the main thread can change: to be called
 * there before a lane's thread loads the engine.
 */
export function disableTelemetry(): void {
  process.env.ORT_DISABLE_TELEMETRY ??= "1";
}

async function loadNative(): Promise<Engine> {
  const runtime = await import("onnxruntime-node").catch((cause: unknown) => {
    throw engineMissing("onnxruntime-node", cause);
  });
  runtime.env.logLevel = "fatal"; // the level of the process's first session holds for all
  const options = { ...sessionOptions, executionProviders: ["cpu"] };
  const zeroCopy = await acceptsSharedMemory(runtime, options);
  return { runtime, zeroCopy, fillsFetches: true, sessionOptions: options };
}

/** Inputs are copied into the build's own memory, from whatever memory they are in. */
async function loadWasm(): Promise<Engine> {
  const runtime = await import("onnxruntime-web").catch((cause: unknown) => {
    throw engineMissing("onnxruntime-web", cause);
  });
  runtime.env.logLevel = "fatal";
  runtime.env.wasm.numThreads = 1; // its threads would be shared by all sessions of the process
  const options = { ...sessionOptions, executionProviders: ["wasm"] };
  return { runtime, zeroCopy: true, fillsFetches: false, sessionOptions: options };
}

/** An ONNX model (IR 8, opset 18) of one node: y = Identity(x), both float32[16]. */
const identityModel =
  "08083a370a100a017812017922084964656e746974791201705a0f0a0178120a0a08080112040a020810620f0a0179120a0a08080112040a02081042021012";

/** Runs an Identity on shared memory: the binding refuses it or does it right, depending on Node's version. */
async function acceptsSharedMemory(runtime: Runtime, options: Ort.InferenceSession.SessionOptions): Promise<boolean> {
  const shared = new SharedArrayBuffer(128);
  const input = new Float32Array(shared, 0, 16).fill(1);
  const output = new Float32Array(shared, 64, 16);
  const session = await runtime.InferenceSession.create(Buffer.from(identityModel, "hex"), options);
  try {
    await session.run(
      { x: new runtime.Tensor("float32", input, [16]) },
      { y: new runtime.Tensor("float32", output, [16]) },
    );
    return output.every((value) => value === 1);
  } catch {
    return false;
  } finally {
    await session.release();
  }
}
