import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { coordinatorCodec, type ToWorker, withChecksums } from "@tutti/core/wire";
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
  const url = await place((socket) => socket.send(withChecksums(coordinatorCodec().encode(goodbye), undefined)));
  const { reason, tookMs } = await closing(url);
  expect(reason).toBe("the run is over");
  expect(tookMs).toBeLessThan(3000);
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
