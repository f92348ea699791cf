// What does a step cost over real cables, by exchange and compression? Hosts are network namespaces behind a bridge, each
// with a cable of so many Mbit/s (tc tbf), the coordinator's included. Needs Linux, root, iproute2. The exchange "gloo" is PyTorch's
// DistributedDataParallel, which has no coordinator.
//
//   node bench/cables.mjs [--mbit 1000] [--workers 2,4] [--hidden 1024] [--batch 64] [--steps 30] [--exchange star,mesh,gloo]
//                         [--compress none,bf16,int8] [--json FILE]
import { execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { python, torchEnvironment } from "./harness/machine.mjs";

const { values } = parseArgs({
  options: {
    mbit: { type: "string", default: "1000" },
    workers: { type: "string", default: "2,4" },
    hidden: { type: "string", default: "1024" },
    batch: { type: "string", default: "64" },
    steps: { type: "string", default: "30" },
    exchange: { type: "string", default: "star,mesh" },
    compress: { type: "string", default: "none" },
    json: { type: "string" },
  },
});
const root = fileURLToPath(new URL("..", import.meta.url));
const bin = join(root, "packages/tutti/bin/tutti.js");
const [bridge, subnet] = [`tuttib${process.pid % 10_000}`, "10.214.78"];
const steps = Number(values.steps);
/** Steps that are not measured: links are made, state is sent. */
const warmUp = 5;

const ip = (...args) => execFileSync("ip", args, { stdio: ["ignore", "pipe", "pipe"], encoding: "utf8" });
const made = [];

function makeHosts(count, mbit) {
  ip("link", "add", bridge, "type", "bridge");
  made.push(() => ip("link", "del", bridge));
  ip("link", "set", bridge, "up");
  return Array.from({ length: count }, (_, i) => {
    const [namespace, outer] = [`tuttib-${process.pid}-${i}`, `tb${process.pid % 10_000}-${i}`];
    ip("netns", "add", namespace);
    made.push(() => ip("netns", "del", namespace));
    ip("link", "add", outer, "type", "veth", "peer", "name", "eth0", "netns", namespace);
    ip("link", "set", outer, "master", bridge, "up");
    ip("-n", namespace, "addr", "add", `${subnet}.${i + 1}/24`, "dev", "eth0");
    ip("-n", namespace, "link", "set", "lo", "up");
    ip("-n", namespace, "link", "set", "eth0", "up");
    const shape = ["root", "tbf", "rate", `${mbit}mbit`, "burst", "256k", "latency", "50ms"];
    execFileSync("tc", ["qdisc", "add", "dev", outer, ...shape]);
    execFileSync("tc", ["-n", namespace, "qdisc", "add", "dev", "eth0", ...shape]);
    return { address: `${subnet}.${i + 1}`, prefix: ["netns", "exec", namespace], namespace };
  });
}

/** Bytes that a host's cable has carried. */
function carried({ namespace }) {
  const [{ stats64 }] = JSON.parse(ip("-n", namespace, "-s", "-j", "link", "show", "dev", "eth0"));
  return { in: stats64.rx.bytes, out: stats64.tx.bytes };
}

function start(host, args, env) {
  return spawn("ip", [...host.prefix, process.execPath, bin, ...args], {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
}

/** Times of steps, and what cables carry between the first that counts and the last. */
class Steps {
  #hosts;
  #workers;
  #wallMs = [];
  #begin;
  #end;

  constructor(hosts, workers) {
    this.#hosts = hosts;
    this.#workers = workers;
  }

  take({ step, wallMs }) {
    if (step === warmUp) this.#begin = this.#hosts.map(carried);
    if (step > warmUp) this.#wallMs.push(wallMs);
    if (step === steps) this.#end = this.#hosts.map(carried);
  }

  result() {
    const perStep = (i, way) => (this.#end[i][way] - this.#begin[i][way]) / (steps - warmUp) / 1e6;
    const sorted = this.#wallMs.toSorted((a, b) => a - b);
    const workers = Array.from({ length: this.#workers }, (_, i) => i + 1);
    const busiest = (way) => Math.max(...workers.map((i) => perStep(i, way)));
    return {
      stepMs: sorted[Math.floor(sorted.length / 2)],
      fastestMs: sorted[0],
      coordinatorMB: { in: perStep(0, "in"), out: perStep(0, "out") },
      workerMB: { in: busiest("in"), out: busiest("out") },
    };
  }
}

async function measureGloo(hosts, workers, compress) {
  const others = hosts.slice(1, workers + 1);
  const env = {
    ...torchEnvironment(1),
    MASTER_ADDR: others[0].address,
    MASTER_PORT: "7071",
    GLOO_SOCKET_IFNAME: "eth0",
  };
  const args = [join(root, "bench/sides/torch_cables.py"), workers, values.hidden, values.batch, steps].map(String);
  const ranks = others.map((host, rank) => {
    const child = spawn("ip", [...host.prefix, python, ...args], {
      env: { ...process.env, ...env, RANK: String(rank) },
      stdio: ["ignore", "pipe", "inherit"],
    });
    if (rank > 0) child.stdout.resume();
    return child;
  });
  const measured = new Steps(hosts, workers);
  const done = Promise.all(ranks.map((rank) => new Promise((resolve) => rank.once("close", resolve))));
  for await (const line of createInterface({ input: ranks[0].stdout })) measured.take(JSON.parse(line));
  await done;
  return { workers, exchange: "gloo", compress, weightsSha256: undefined, ...measured.result() };
}

async function measure(hosts, workers, exchange, compress, runFile) {
  if (exchange === "gloo") return measureGloo(hosts, workers, compress);
  const [head, ...others] = hosts.slice(0, workers + 1);
  const out = mkdtempSync(join(tmpdir(), "tutti-cables-"));
  const env = { TUTTI_TOKEN: randomBytes(32).toString("hex") };
  const set = ["--set", `compress=${compress === "none" ? "null" : JSON.stringify(compress)}`];
  const args = ["coordinator", runFile, "--host", head.address, "--port", "7070", "--min-workers", `${workers}`];
  const coordinator = start(head, [...args, ...set, "--exchange", exchange, "--out", out, "--json"], env);
  const children = [coordinator];
  const measured = new Steps(hosts, workers);
  let weightsSha256 = "";
  const done = new Promise((resolve) => coordinator.once("close", resolve));
  for await (const line of createInterface({ input: coordinator.stdout })) {
    const event = JSON.parse(line);
    if (event.type === "notice" && event.message.startsWith("listening")) {
      for (const host of others) {
        const worker = start(host, ["worker", `ws://${head.address}:7070`, "--peer-host", "0.0.0.0", "--json"], env);
        worker.stdout.resume();
        children.push(worker);
      }
    }
    if (event.type === "notice" && /over the coordinator|long time/.test(event.message)) console.error(event.message);
    if (event.type === "step") measured.take(event);
    if (event.type === "done") weightsSha256 = event.weightsSha256;
  }
  await done;
  for (const child of children) child.kill("SIGKILL");
  rmSync(out, { recursive: true, force: true });
  return { workers, exchange, compress, weightsSha256, ...measured.result() };
}

function undoAll() {
  for (const undo of made.splice(0).reverse()) {
    try {
      undo();
    } catch (error) {
      console.error(String(error));
    }
  }
}

for (const signal of ["SIGINT", "SIGTERM"])
  process.once(signal, () => {
    undoAll();
    process.exit(1);
  });

const [hidden, batch] = [Number(values.hidden), Number(values.batch)];
const folder = mkdtempSync(join(root, "bench", ".cables-"));
made.push(() => rmSync(folder, { recursive: true, force: true }));
const runFile = join(folder, "run.ts");
writeFileSync(
  runFile,
  `import { data, defineRun, nn, optim } from "tutti";
const rows = ${batch};
const x = Float32Array.from({ length: rows * 784 }, (_, i) => ((i * 37) % 101) / 101);
const label = Uint8Array.from({ length: rows }, (_, i) => i % 10);
const model = nn.sequential({ a: nn.linear(784, ${hidden}), r: nn.relu(), b: nn.linear(${hidden}, ${hidden}), s: nn.relu(), c: nn.linear(${hidden}, 10) });
export default defineRun({
  data: { train: data.arrays({ x: { dtype: "float32", shape: [784], values: x }, label }) },
  model,
  step({ x, label }) { const logits = model(x); return { loss: nn.crossEntropy(logits, label), outputs: { logits } }; },
  optimizer: optim.rmsprop({ lr: 1e-3 }),
  batchSize: ${batch}, steps: ${steps}, seed: 1, shards: 8, checkpoint: { everySteps: 100000 },
});
`,
);
const parameters = 784 * hidden + hidden + hidden * hidden + hidden + hidden * 10 + 10;
const results = [];
try {
  const counts = values.workers.split(",").map(Number);
  const hosts = makeHosts(Math.max(...counts) + 1, Number(values.mbit));
  console.log(
    `${cpus()[0].model}, ${cpus().length} CPUs; ${values.mbit} Mbit/s each; ${(parameters / 1e6).toFixed(2)} M parameters (P = ${((parameters * 4) / 1e6).toFixed(1)} MB), batch ${batch}, 8 shards, RMSprop; ${steps - warmUp} steps, median`,
  );
  console.log(
    "| workers | exchange | compress | ms a step (fastest) | coordinator in / out, MB | busiest worker in / out, MB |",
  );
  console.log("| --- | --- | --- | --- | --- | --- |");
  for (const workers of counts) {
    for (const compress of values.compress.split(",")) {
      for (const exchange of values.exchange.split(",")) {
        const result = await measure(hosts, workers, exchange, compress, runFile);
        results.push(result);
        const both = (bytes) => `${bytes.in.toFixed(1)} / ${bytes.out.toFixed(1)}`;
        console.log(
          `| ${workers} | ${exchange} | ${compress} | ${result.stepMs.toFixed(0)} (${result.fastestMs.toFixed(0)}) | ${both(result.coordinatorMB)} | ${both(result.workerMB)} |`,
        );
      }
    }
  }
  const ours = results.filter((one) => one.exchange !== "gloo");
  const distinct = (of) => new Set(ours.map(of)).size;
  if (distinct((one) => `${one.compress} ${one.weightsSha256}`) !== distinct((one) => one.compress))
    throw new Error("rows of one compression have other bits");
  if (ours.length > 1) console.log("the same bits in all rows of one compression");
  if (values.json !== undefined)
    writeFileSync(values.json, `${JSON.stringify({ parameters, results }, undefined, 2)}\n`);
} finally {
  undoAll();
}
