import { createRequire } from "node:module";
import type * as Ort from "onnxruntime-node";
import { TuttiError } from "../errors/index.ts";

export type Runtime = typeof Ort;

/** ONNX Runtime as loaded into the calling thread. */
export interface Engine {
  readonly runtime: Runtime;
  /** Whether tensors may be views of a SharedArrayBuffer, as inputs and as preallocated outputs: Node 20 refuses, 24 does not. */
  readonly zeroCopy: boolean;
}

/**
 * One thread and a fixed order: with more threads the engine's convolutions give other bits. Level "all" is 30 % faster
 * than "basic" and gives the same bits. Memory patterns would only raise the peak.
 */
export const sessionOptions: Ort.InferenceSession.SessionOptions = {
  executionProviders: ["cpu"],
  executionMode: "sequential",
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
  graphOptimizationLevel: "all",
  enableMemPattern: false,
  logSeverityLevel: 4, // what fails is thrown, and said once
};

const packageName = "onnxruntime-node";

/** Version of the installed onnxruntime-node, without loading its binding. Throws ENGINE_MISSING. */
export function engineVersion(): string {
  try {
    const found: unknown = createRequire(import.meta.url)(`${packageName}/package.json`);
    return String((found as { version: unknown }).version);
  } catch (error) {
    throw missing(error);
  }
}

/**
 * Loads ONNX Runtime into the calling thread; the first call in a thread takes some 50 ms, later ones find it loaded.
 * Throws ENGINE_MISSING when the package or its native binding is not there.
 */
export async function loadEngine(): Promise<Engine> {
  const runtime = await importRuntime();
  return { runtime, zeroCopy: await acceptsSharedMemory(runtime) };
}

/**
 * Otherwise the engine's Linux build reports to its maker: a thread, uploads, and a mat-debug-PID.log in the temporary
 * folder for every process. It reads the process's environment, which only the main thread can change: to be called
 * there before a lane's thread loads the engine.
 */
export function disableTelemetry(): void {
  process.env.ORT_DISABLE_TELEMETRY ??= "1";
}

async function importRuntime(): Promise<Runtime> {
  disableTelemetry();
  try {
    const runtime = await import("onnxruntime-node");
    runtime.env.logLevel = "fatal"; // the level of the process's first session holds for all
    return runtime;
  } catch (error) {
    throw missing(error);
  }
}

function missing(cause: unknown): TuttiError {
  return new TuttiError(
    "ENGINE_MISSING",
    `${packageName} does not load on ${process.platform}-${process.arch}, Node ${process.version}: ${firstLine(cause)}. ` +
      `Install it again with "npm install ${packageName} --onnxruntime-node-install=skip"; on Linux it needs glibc 2.28 or newer (Alpine has none).`,
    { platform: process.platform, arch: process.arch },
    { cause },
  );
}

export function firstLine(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.split("\n", 1)[0] ?? "";
}

/** An ONNX model (IR 8, opset 18) of one node: y = Identity(x), both float32[16]. */
const identityModel =
  "08083a370a100a017812017922084964656e746974791201705a0f0a0178120a0a08080112040a020810620f0a0179120a0a08080112040a02081042021012";

/** Runs an Identity on shared memory: the binding refuses it or does it right, depending on Node's version. */
async function acceptsSharedMemory(runtime: Runtime): Promise<boolean> {
  const shared = new SharedArrayBuffer(128);
  const input = new Float32Array(shared, 0, 16).fill(1);
  const output = new Float32Array(shared, 64, 16);
  const session = await runtime.InferenceSession.create(Buffer.from(identityModel, "hex"), sessionOptions);
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
