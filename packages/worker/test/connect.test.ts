import { once } from "node:events";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { Worker as Thread } from "node:worker_threads";
import { coordinatorCodec, HeaderChecksums, maxFrameBytes, type ToWorker } from "@tutti/core/wire";
import { expect, onTestFinished, test } from "vitest";
import { type WebSocket, WebSocketServer } from "ws";
import { connect } from "../src/connect.ts";
import { CoordinatorRules, KnownRun } from "../src/coordinator-rules.ts";

const soon = { timeoutMs: 5000, firstMessageMs: 200, afterGoodbyeMs: 200 };

/** A server that speaks WebSocket and does what a test says. */
async function place(greet: (socket: WebSocket) => void): Promise<string> {
  const http = createServer();
  const sockets = new WebSocketServer({ server: http });
  sockets.on("connection", greet);
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    sockets.close();
    http.closeAllConnections();
    http.close();
  });
  return `ws://127.0.0.1:${(http.address() as AddressInfo).port}`;
}

async function closing(url: string): Promise<{ reason: string; tookMs: number }> {
  const connection = await connect({ url, rules: new CoordinatorRules(new KnownRun()), ...soon });
  const startMs = performance.now();
  return new Promise((resolve) => {
    connection.listen({
      message: () => {},
      closed: (reason) => resolve({ reason, tookMs: performance.now() - startMs }),
    });
  });
}

test("does not wait for ever for a coordinator that says nothing", async () => {
  const { reason, tookMs } = await closing(await place(() => {}));
  expect(reason).toBe("the coordinator said nothing within 200 ms");
  expect(tookMs).toBeLessThan(3000);
});

test("does not wait for ever for a coordinator that has said goodbye to hang up", async () => {
  const goodbye: ToWorker = { type: "goodbye", code: "stopped", message: "the run is over", rejoin: false };
  const url = await place((socket) =>
    socket.send(new HeaderChecksums().seal(coordinatorCodec().encode(goodbye), undefined)),
  );
  const { reason, tookMs } = await closing(url);
  expect(reason).toBe("the run is over");
  expect(tookMs).toBeLessThan(3000);
});

/** Greets each visitor with a message, in a thread of its own, as a coordinator in another process would; posts close codes. */
const sendingServer = `
  const { parentPort, workerData } = require("node:worker_threads");
  const { WebSocketServer } = require(workerData.ws);
  const sockets = new WebSocketServer({ port: 0 });
  sockets.on("listening", () => parentPort.postMessage(sockets.address().port));
  sockets.on("connection", (socket) => {
    socket.on("error", () => {});
    socket.on("close", (code) => parentPort.postMessage(code));
    socket.send(new Uint8Array(workerData.bytes), () => {});
  });`;

test("hangs up with 1009 on a message larger than any, though much of it is still under way", async () => {
  const workerData = { ws: createRequire(import.meta.url).resolve("ws"), bytes: 2 * maxFrameBytes };
  const server = new Thread(sendingServer, { eval: true, workerData });
  onTestFinished(async () => void (await server.terminate()));
  const [port] = (await once(server, "message")) as [number];
  for (let visit = 0; visit < 20; visit++) {
    const said = once(server, "message");
    const rules = new CoordinatorRules(new KnownRun());
    const connection = await connect({ url: `ws://127.0.0.1:${port}`, rules, ...soon });
    connection.listen({ message: () => {}, closed: () => {} });
    expect(await said, `visit ${visit}`).toEqual([1009]);
  }
});

test("cuts a peer that keeps the connection after a message larger than any", async () => {
  const url = await place((socket) => {
    socket.on("error", () => {});
    socket.send(new Uint8Array(maxFrameBytes + 1));
    socket.pause(); // reads nothing any more
  });
  const connection = await connect({ url, rules: new CoordinatorRules(new KnownRun()), ...soon });
  const startMs = performance.now();
  const error = await new Promise((resolve) => {
    connection.listen({ message: () => {}, closed: (_reason, why) => resolve(why) });
  });
  expect(error).toMatchObject({ code: "PROTOCOL", message: expect.stringContaining("Max payload size exceeded") });
  expect(performance.now() - startMs).toBeLessThan(5000);
});

test("cuts a peer that does not answer its close frame", async () => {
  const url = await place((socket) => {
    socket.send("text");
    socket.pause(); // reads nothing any more
  });
  const connection = await connect({ url, rules: new CoordinatorRules(new KnownRun()), ...soon });
  const error = await new Promise((resolve) => {
    connection.listen({ message: () => {}, closed: (_reason, why) => resolve(why) });
  });
  expect(error).toMatchObject({ code: "PROTOCOL", message: expect.stringContaining("text frame") });
});
