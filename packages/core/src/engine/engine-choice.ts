import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { TuttiError } from "../errors/index.ts";

/** Which build of ONNX Runtime computes in this process, and in every thread of it. */
export interface EngineChoice {
  readonly name: "onnxruntime-node" | "onnxruntime-web";
  /** Why it is the slower WebAssembly build, when it is. */
  readonly reason?: string;
}

const packages = { native: "onnxruntime-node", wasm: "onnxruntime-web" } as const;

/** The oldest glibc that the native build for Linux links with. */
const leastGlibc = [2, 28] as const;

/**
 * onnxruntime-node where it has a binary for this machine, else onnxruntime-web's WebAssembly; TUTTI_ENGINE=native or wasm
 * decides otherwise. Depends on nothing else, so that all threads and the numeric class agree. Throws BAD_OPTION, ENGINE_MISSING.
 */
export function chooseEngine(): EngineChoice {
  const wanted = process.env.TUTTI_ENGINE ?? "";
  if (wanted === "wasm") return { name: packages.wasm, reason: "TUTTI_ENGINE=wasm" };
  if (wanted === "native") return { name: packages.native };
  if (wanted !== "") throw new TuttiError("BAD_OPTION", `TUTTI_ENGINE: expected native or wasm, found "${wanted}"`);
  const reason = whyNoBinary();
  return reason === undefined ? { name: packages.native } : { name: packages.wasm, reason };
}

/** Undefined if onnxruntime-node has a binary that this machine can load. */
function whyNoBinary(): string | undefined {
  const { platform, arch } = process;
  const entry = resolved(packages.native); // ENGINE_MISSING here is a broken installation, no strange machine
  const binary = join(dirname(entry), "../bin/napi-v6", platform, arch, "onnxruntime_binding.node");
  if (!existsSync(binary)) return `${packages.native} has no binary for ${platform}-${arch}`;
  if (platform !== "linux") return undefined;
  const glibc = glibcVersion();
  if (glibc === undefined) return `${packages.native} needs glibc, which this Linux has not (musl, as on Alpine)`;
  const [major = 0, minor = 0] = glibc.split(".").map(Number);
  const isOld = major < leastGlibc[0] || (major === leastGlibc[0] && minor < leastGlibc[1]);
  return isOld ? `${packages.native} needs glibc ${leastGlibc.join(".")}, this Linux has ${glibc}` : undefined;
}

/**
 * At least that version; undefined where Node runs with another C library. The name of the loaded file tells: "libc-2.31.so",
 * and "libc.so.6" since 2.34. Asking Node takes 15 ms, in every thread.
 */
function glibcVersion(): string | undefined {
  const [, old, isNew] = /\/(?:libc-(2\.\d+)\.so|(libc\.so\.6))$/m.exec(loadedFiles()) ?? [];
  if (old !== undefined) return old;
  return isNew === undefined ? reportedGlibcVersion() : "2.34";
}

/** Lines of this process's memory map, which end with the names of files; "" where the machine does not tell. */
function loadedFiles(): string {
  try {
    return readFileSync("/proc/self/maps", "utf8");
  } catch {
    return "";
  }
}

/** As Node knows it. */
function reportedGlibcVersion(): string | undefined {
  // Otherwise it asks for the names of all open connections; not in the types yet.
  const report: typeof process.report & { excludeNetwork?: boolean } = process.report;
  const before = report.excludeNetwork ?? false;
  report.excludeNetwork = true;
  try {
    const found: unknown = report.getReport();
    const { header } = found as { readonly header: { readonly glibcVersionRuntime?: string } };
    return header.glibcVersionRuntime;
  } finally {
    report.excludeNetwork = before;
  }
}

/** Version of the chosen engine's package, without loading its binding. Throws ENGINE_MISSING. */
export function engineVersion({ name }: EngineChoice = chooseEngine()): string {
  const manifest: unknown = JSON.parse(readFileSync(join(dirname(resolved(name)), "../package.json"), "utf8"));
  return String((manifest as { readonly version: unknown }).version);
}

/** Build and version, as workers tell them and as the numeric class covers them. Throws BAD_OPTION, ENGINE_MISSING. */
export function engineName(): string {
  const choice = chooseEngine();
  return choice.name === packages.native
    ? `onnxruntime ${engineVersion(choice)}`
    : `onnxruntime-web ${engineVersion(choice)} (wasm)`;
}

/** What to tell whoever runs a machine without native engine; undefined with one. Throws BAD_OPTION, ENGINE_MISSING. */
export function engineNotice(): string | undefined {
  const { reason } = chooseEngine();
  if (reason === undefined) return undefined;
  return `computing with onnxruntime-web's WebAssembly, about ten times slower than the native engine: ${reason}`;
}

/** The package's CommonJS entry, which lies in its dist/. */
function resolved(name: EngineChoice["name"]): string {
  try {
    return createRequire(import.meta.url).resolve(name);
  } catch (cause) {
    throw engineMissing(name, cause);
  }
}

export function engineMissing(name: EngineChoice["name"], cause: unknown): TuttiError {
  const remedy =
    name === packages.native
      ? `Install it again with "npm install ${name} --onnxruntime-node-install=skip", or set TUTTI_ENGINE=wasm to compute without native code, slower`
      : `Install it again with "npm install ${name}"`;
  return new TuttiError(
    "ENGINE_MISSING",
    `${name} does not load on ${process.platform}-${process.arch}, Node ${process.version}: ${firstLine(cause)}. ${remedy}.`,
    { platform: process.platform, arch: process.arch },
    { cause },
  );
}

export function firstLine(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.split("\n", 1)[0] ?? "";
}
