// Preloaded (NODE_OPTIONS=--require) into every process of a start by bench/start-timeline.mjs: appends to the file START_MARKS
// when what happens. It changes nothing, and is itself loaded in 2 ms.
const { appendFileSync } = require("node:fs");
const { isMainThread } = require("node:worker_threads");
const childProcess = require("node:child_process");
const net = require("node:net");
const { syncBuiltinESMExports } = require("node:module");

const isWorker = process.env.TUTTI_LANES !== undefined;
/** Undefined for threads of the command. */
const role = isMainThread ? (isWorker ? "worker" : "command") : isWorker ? "lane" : undefined;

function mark(what, atMs = performance.now()) {
  const line = { role, what, ms: performance.timeOrigin + atMs };
  appendFileSync(process.env.START_MARKS, `${JSON.stringify(line)}\n`);
}

/** Calls `then` once, after the first call of a method. */
function afterFirst(object, name, then) {
  const original = object[name];
  object[name] = function (...args) {
    object[name] = original;
    const result = original.apply(this, args);
    then(this, result);
    return result;
  };
}

if (role === "worker") mark("is being started", 0);
if (role === "command") {
  afterFirst(childProcess, "fork", () => mark("workers are being started"));
  afterFirst(net.Server.prototype, "listen", (server) => server.once("listening", () => mark("coordinator listens")));
  syncBuiltinESMExports();
}
if (role === "worker") {
  afterFirst(net.Socket.prototype, "connect", (socket) => socket.once("connect", () => mark("connected")));
}
if (role === "lane") {
  const { dlopen } = process;
  process.dlopen = function (...args) {
    dlopen.apply(this, args);
    if (String(args[1]).includes("onnxruntime")) mark("engine is loaded");
  };
}
