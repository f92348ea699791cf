// What would a star over sockets take that does nothing but carry bytes? Two processes send a third so many bytes each and are sent as
// many back, 256 KiB at a time as both have sent them: plain TCP over loopback, no frames, checks, sums or updates.
//
//   node bench/sockets.mjs [--bytes 4000000] [--steps 300]          (Node 22 or later)
import { fork } from "node:child_process";
import { connect, createServer } from "node:net";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    bytes: { type: "string", default: "4000000" },
    steps: { type: "string", default: "300" },
    port: { type: "string" },
  },
});
const bytes = Number(values.bytes);
const steps = Number(values.steps);
const chunkBytes = 1 << 18;
/** Steps that are not measured. */
const warmUp = 20;

if (values.port === undefined) hub();
else send(Number(values.port));

function hub() {
  const workers = [];
  const arrived = [0, 0];
  const chunk = Buffer.alloc(chunkBytes);
  let sent = 0;
  let step = 0;
  let began = { ms: 0, cpu: process.cpuUsage() };
  const report = () => {
    const { user, system } = process.cpuUsage(began.cpu);
    const perStep = (ms) => (ms / steps).toFixed(2);
    const cpu = `${perStep(user / 1000)} user, ${perStep(system / 1000)} system`;
    console.log(`${bytes / 1e6} MB: ${perStep(performance.now() - began.ms)} ms; of the hub's CPU ${cpu}`);
    process.exit(0);
  };
  const advance = () => {
    for (; sent < bytes && Math.min(...arrived) >= Math.min(bytes, sent + chunkBytes); sent += chunkBytes)
      for (const worker of workers) worker.write(chunk.subarray(0, Math.min(chunkBytes, bytes - sent)));
    if (sent < bytes) return;
    sent = 0;
    for (const i of arrived.keys()) arrived[i] -= bytes;
    step++;
    if (step === warmUp) began = { ms: performance.now(), cpu: process.cpuUsage() };
    if (step === warmUp + steps) report();
  };
  const server = createServer({ noDelay: true }, (socket) => {
    const i = workers.push(socket) - 1;
    socket.on("data", (data) => {
      arrived[i] += data.byteLength;
      if (data.buffer.byteLength === data.byteLength) data.buffer.transfer(0); // no garbage, as in the product
      if (workers.length === 2) advance();
    });
  });
  server.listen(0, "127.0.0.1", () => {
    for (let i = 0; i < 2; i++)
      fork(fileURLToPath(import.meta.url), ["--bytes", `${bytes}`, "--port", `${server.address().port}`]);
  });
}

function send(port) {
  const all = Buffer.alloc(bytes);
  let arrived = 0;
  const callback = (read) => {
    arrived += read;
    if (arrived < bytes) return true;
    arrived -= bytes;
    socket.write(all);
    return true;
  };
  const onread = { buffer: Buffer.alloc(65_536), callback };
  const socket = connect({ port, host: "127.0.0.1", noDelay: true, onread }, () => socket.write(all));
  socket.on("error", () => process.exit(0)); // the hub has ended
  process.on("disconnect", () => process.exit(0));
}
