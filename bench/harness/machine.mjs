import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { cpus, totalmem } from "node:os";

const flags = readFileSync("/proc/cpuinfo", "utf8");
const simd = /\bavx512f\b/.test(flags) ? "AVX-512" : /\bavx2\b/.test(flags) ? "AVX2" : "no AVX2";

/**
 * OpenBLAS releases older than the CPU fall back to their slowest kernels (4 to 6 times slower): the peer is told which core it
 * runs on, unless the user has.
 */
const coreType = process.env.OPENBLAS_CORETYPE ?? (simd === "AVX-512" ? "SkylakeX" : "Haswell");

export const python = process.env.PYTHON ?? "/usr/bin/python3";

/** What a peer of so many threads is started with. */
export function torchEnvironment(threads) {
  return {
    OPENBLAS_CORETYPE: coreType,
    OMP_NUM_THREADS: String(threads),
    OPENBLAS_NUM_THREADS: String(threads),
    MKL_NUM_THREADS: String(threads),
  };
}

/** Version and libraries of PyTorch, or undefined where there is none. */
function torch() {
  const script = `
import json, torch
import torch.distributed as dist
torch.mm(torch.rand(64, 64), torch.rand(64, 64))
maps = open("/proc/self/maps").read().split()
blas = sorted({p.rsplit("/", 1)[1] for p in maps if p.startswith("/") and ("blas" in p or "libmkl" in p)})
print(json.dumps({"version": torch.__version__, "gloo": dist.is_available() and dist.is_gloo_available() if hasattr(dist, "is_gloo_available") else dist.is_available(), "oneDNN": torch.backends.mkldnn.is_available(), "blas": blas}))`;
  const { status, stdout } = spawnSync(python, ["-c", script], {
    encoding: "utf8",
    env: { ...process.env, ...torchEnvironment(1) },
  });
  return status === 0 ? { ...JSON.parse(stdout.trim().split("\n").at(-1)), coreType } : undefined;
}

/** The machine and what is measured on it, as it stands above the tables. */
export function describeMachine() {
  const engine = createRequire(new URL("../../packages/core/package.json", import.meta.url))(
    "onnxruntime-node/package.json",
  );
  return {
    cpu: cpus()[0].model.trim(),
    cores: cpus().length,
    simd,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    system: `${process.platform} ${readFileSync("/proc/sys/kernel/osrelease", "utf8").trim()}`,
    node: process.versions.node,
    engine: `onnxruntime-node ${engine.version}`,
    torch: torch(),
  };
}

export function machineText({ cpu, cores, simd, memoryGb, node, engine, torch: peer }) {
  const peerText =
    peer === undefined
      ? "PyTorch absent"
      : `PyTorch ${peer.version} (gloo; ${peer.blas.join(", ")} told it is ${peer.coreType}${peer.oneDNN ? "; oneDNN" : ""})`;
  return `${cpu}, ${cores} cores, ${simd}, ${memoryGb} GB; Node ${node}, ${engine}; ${peerText}`;
}
