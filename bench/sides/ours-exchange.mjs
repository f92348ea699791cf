// Steps without computing, a slice at a time, for bench/exchange.mjs: ours-exchange.mjs '{"workers", "floats", "exchange", "sharesFile"}'.
// The coordinator, the workers, their connections and the sum tree are the product's; only the lanes are not: each has its
// sums ready. With `sharesFile` it is as between `tutti train` and its workers: blocks of memory that both see, in a star, and large frames through a file in memory.
import { fork } from "node:child_process";
import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { Coordinator, serve } from "../../packages/coordinator/dist/index.js";
import { systemClock } from "../../packages/core/dist/clock/index.js";
import { computeMemory } from "../../packages/core/dist/kernels/index.js";
import { Arena, MemoryFile } from "../../packages/core/dist/memory/index.js";
import { compileOptimizer, optim } from "../../packages/core/dist/optim/index.js";
import { flatLayout } from "../../packages/core/dist/step/index.js";
import { SharedBlocks, SharedFile } from "../../packages/core/dist/wire/index.js";
import { CoordinatorRules, KnownRun } from "../../packages/worker/dist/coordinator-rules.js";
import { connect, Worker, WorkerMemory } from "../../packages/worker/dist/index.js";
import { SocketPeers } from "../../packages/worker/dist/mesh/socket-peers.js";

const options = JSON.parse(process.argv[2]);
if (options.url === undefined) await coordinate(options);
else await work(options);

async function coordinate({ workers, floats, exchange, sharesFile }) {
  const files = new Map();
  const arena = new Arena();
  const memoryFile = sharesFile && exchange === "star" ? MemoryFile.create() : undefined;
  if (memoryFile !== undefined) arena.shareBlocks((pages) => memoryFile.layOver(arena.memory, pages));
  let permits = 2;
  let open = () => {};
  let committed = () => {};
  const pass = () => {
    if (permits-- > 0) return undefined;
    return new Promise((resolve) => {
      open = resolve;
    });
  };
  const layout = flatLayout([{ name: "all", shape: [floats] }]);
  const shard = (index) => ({ program: "aa", samples: 1, firstPosition: index, bytes: new Uint8Array(64) });
  const view = { name: "all", shape: [floats], offset: 0, length: floats };
  const run = {
    id: "exchange",
    definitionDigest: "exchange",
    seed: 0,
    batchSize: workers,
    shards: workers,
    layout,
    updated: layout,
    trainable: layout,
    statistics: [],
    programs: [
      {
        id: "aa",
        mode: "train",
        samples: 1,
        onnx: new Uint8Array(1),
        columns: [{ name: "x", dtype: "float32", shape: [16] }],
        parameters: [view],
        randoms: [],
        sums: [view],
        sumsFloats: layout.totalFloats,
        scalars: { name: "scalars", length: 2 },
        collects: [],
      },
    ],
    optimizer: compileOptimizer(optim.sgd({ lr: 1e-9 }), layout),
    earlyStopping: null,
    stepsPerEpoch: 1,
    totalSteps: 100_000_000,
    metrics: [],
    canaries: [shard(0)],
    placed: [],
    batches: {
      read: async () => {
        await pass();
        return { epoch: 0, samples: workers, shards: Array.from({ length: workers }, (_, i) => shard(i)) };
      },
    },
  };
  const memory = computeMemory(arena);
  const start = { step: 0, parameters: new Float32Array(layout.totalFloats), slots: [] };
  const coordinator = new Coordinator(run, start, {
    clock: systemClock(),
    memory,
    generation: 1,
    startWorkers: workers,
    exchange,
    ...(memoryFile === undefined ? {} : { chunkFloats: 2 ** 22 }), // as `tutti train` has it for its own workers
    onEvent: (event) => {
      if (event.type === "step") committed(event);
      else if (event.type === "worker" && event.event === "left") throw new Error(event.reason);
    },
  });
  const server = await serve({
    host: "127.0.0.1",
    port: 0,
    memory,
    accept: (connection) => coordinator.accept(connection),
    sharedFile: (name) => files.get(name),
  });
  for (let i = 0; i < workers; i++) {
    const own = memoryFile && MemoryFile.create();
    const file = sharesFile ? SharedFile.create(own && new SharedBlocks(arena, own)) : undefined;
    const name = `worker ${i}`.replace(" ", "-");
    if (file !== undefined) files.set(name, file);
    const shared = file === undefined ? undefined : name;
    const told = { url: server.url, floats: layout.totalFloats, shared, seesMemory: own !== undefined };
    const memory = own === undefined ? [] : [own.descriptor, memoryFile.descriptor];
    fork(fileURLToPath(import.meta.url), [JSON.stringify(told)], {
      stdio: ["ignore", "ignore", "inherit", "ipc", file === undefined ? "ignore" : file.descriptor, ...memory],
    });
  }
  const steps = (count) =>
    new Promise((resolve) => {
      let left = count;
      const split = {};
      committed = ({ time }) => {
        for (const [part, ms] of Object.entries(time)) split[part] = (split[part] ?? 0) + ms / count;
        if (--left === 0) resolve(split);
      };
    });
  const two = steps(2);
  const training = coordinator.train();
  training.catch((error) => {
    console.error(error);
    process.exit(1);
  });
  await two;
  process.stdout.write(`${JSON.stringify({ ready: true })}\n`);
  for await (const line of createInterface({ input: process.stdin })) {
    const { steps: count } = JSON.parse(line);
    const first = steps(1);
    permits += count + 1;
    open();
    await first;
    const startMs = performance.now();
    const split = await steps(count);
    process.stdout.write(`${JSON.stringify({ ms: performance.now() - startMs, split })}\n`);
  }
  process.exit(0);
}

async function work({ url, floats, shared, seesMemory }) {
  const arena = new Arena();
  const own = seesMemory ? MemoryFile.inherited(5) : undefined;
  if (own !== undefined) arena.shareBlocks((pages) => own.layOver(arena.memory, pages));
  const blocks = own && new SharedBlocks(arena, MemoryFile.inherited(6));
  const sums = arena.allocateShared(floats * 4);
  arena.floats(sums, floats).fill(1);
  const lanes = {
    count: 1,
    load: async () => {},
    compute: async ({ node }) => ({
      sums,
      scalars: Float32Array.from({ length: 2 * (node.hi - node.lo) }, () => 1),
      collects: [],
      computeMs: 0,
      release: () => {},
    }),
    close: async () => {},
  };
  const memory = computeMemory(arena);
  const connection = await connect({
    url,
    memory,
    ...(shared === undefined ? {} : { shared: { name: shared, file: new SharedFile(4, "child", blocks) } }),
    rules: new CoordinatorRules(new KnownRun()),
    timeoutMs: 5000,
    firstMessageMs: 30_000,
    afterGoodbyeMs: 5000,
  });
  const worker = new Worker({
    connection,
    lanes,
    peers: new SocketPeers({ host: "127.0.0.1", port: 0, memory }),
    data: new Map(),
    memory: new WorkerMemory(memory),
    clock: systemClock(),
    checkProgram: () => {},
    numericClass: async () => "00",
    identity: { instance: randomUUID(), host: hostname(), pid: process.pid, engine: "none", node: process.version },
    log: (line) => console.error(line),
  });
  process.once("disconnect", () => process.exit(0));
  await worker.run();
  process.exit(0);
}
