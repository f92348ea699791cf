import type { AddressInfo } from "node:net";
import { Arena, MemoryFile, pageBytes } from "@tutti/core/memory";
import {
  coordinatorCodec,
  FramedConnection,
  type Message,
  type PeerRules,
  SharedBlocks,
  SharedFile,
  type ToCoordinator,
  type ToWorker,
  workerCodec,
} from "@tutti/core/wire";
import { afterEach, describe, expect, test } from "vitest";
import { WebSocket, WebSocketServer } from "ws";

const probe = MemoryFile.create();
probe?.close();
if (probe === undefined) console.warn("SKIPPED: shared blocks need Linux and koffi, which this machine has not");
const opened: { close(): void }[] = [];

afterEach(() => {
  for (const one of opened.splice(0).reverse()) one.close();
});

const anything: PeerRules<Message, Message> = { maxHeaderBytes: 1 << 16, sent: () => {}, received: () => {} };

/** Two ends as two processes have them: each its arena and file, and the other's file. */
async function ends() {
  const [parentFile, childFile] = [MemoryFile.create()!, MemoryFile.create()!];
  const arenas = [parentFile, childFile].map((file) => {
    const arena = new Arena(1 << 26);
    arena.shareBlocks((pages) => file.layOver(arena.memory, pages));
    return arena;
  });
  const [parent, child] = [arenas[0]!, arenas[1]!];
  const blocks = { parent: new SharedBlocks(parent, childFile), child: new SharedBlocks(child, parentFile) };
  return { parent, child, blocks };
}

async function connections() {
  const { parent, child, blocks } = await ends();
  const file = SharedFile.create(blocks.parent)!;
  opened.push(file, blocks.child);
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  opened.push(server);
  const accepted = new Promise<WebSocket>((resolve) => server.once("connection", resolve));
  await new Promise((resolve) => server.once("listening", resolve));
  const client = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
  opened.push({ close: () => client.terminate() });
  await new Promise((resolve) => client.once("open", resolve));
  const raw = Reflect.get(client, "_socket") as { bytesWritten: number };
  const shares = { sharesMemory: true };
  const childFile = new SharedFile(file.descriptor, "child", blocks.child);
  return {
    parent,
    child,
    client,
    bytesSent: () => raw.bytesWritten,
    atParent: new FramedConnection<ToWorker, ToCoordinator>(
      file.wrap(await accepted),
      coordinatorCodec(),
      anything,
      shares,
    ),
    atChild: new FramedConnection<ToCoordinator, ToWorker>(childFile.wrap(client), workerCodec(), anything, shares),
  };
}

function partial(payloadBytes: number, chunk: number): ToCoordinator {
  return { type: "partial", generation: 1, round: 1, step: 0, lo: 0, hi: 1, chunk, payloadBytes };
}

describe.skipIf(probe === undefined)("shared blocks", () => {
  test("are named, seen where they are and written there by either end; payloads elsewhere travel as ever", async () => {
    const { parent, child, atParent, atChild, bytesSent } = await connections();
    const bytes = 5_000_000;
    const sums = child.allocateShared(bytes);
    child.floats(sums, 4).set([1, 2, 3, 4]);
    const seen = new Promise<{ isView: boolean; first: number[] }>((resolve, reject) => {
      atParent.listen({
        message: (message, payload) => {
          if (message.type !== "partial" || message.chunk === 0 || payload === undefined) return;
          const floats = parent.floats(payload.byteOffset, 4);
          const first = [...floats];
          floats.set([9], 3);
          resolve({ isView: parent.owns(payload) && payload.byteLength === bytes, first });
        },
        closed: (reason) => reject(new Error(reason)),
      });
    });
    const before = bytesSent();
    atChild.send(partial(300_000, 0), new Uint8Array(300_000).fill(7)); // a copy, through the ring
    atChild.send(partial(bytes, 1), child.bytes(sums, bytes));
    expect(await seen).toEqual({ isView: true, first: [1, 2, 3, 4] });
    expect(child.floats(sums, 4)[3]).toBe(9);
    expect(bytesSent() - before).toBeLessThan(2000);
  });

  test("a name that is not the one that was sent ends the connection, as damage does", async () => {
    const { child, client, atParent, atChild } = await connections();
    const sums = child.allocateShared(pageBytes);
    const send = client.send.bind(client) as (data: Uint8Array, ...rest: unknown[]) => void;
    Object.assign(client, {
      send: (data: Uint8Array, ...rest: unknown[]) => {
        const text = Buffer.from(data).toString("latin1");
        send(text.startsWith("in ") ? Buffer.from(text.replace(/ 64 (\d+)$/, " 128 $1")) : data, ...rest);
      },
    });
    const closed = new Promise((resolve) => {
      atParent.listen({ message: () => resolve("delivered"), closed: (_, error) => resolve(error?.code) });
    });
    atChild.send(partial(256, 1), child.bytes(sums + 64, 256));
    expect(await closed).toBe("CONNECTION_LOST");
  });

  test.each([
    "in 0 65536 0 64",
    "in 65536 65536 0 0",
    "in 65536 65536 65536 1",
    "in 65537 65536 0 64",
    "in 65536 100 0 64",
    "in 99999744 65536 0 64",
    "in 65536 65536 0 -4",
    "in 65536 65536",
  ])("%j names nothing in a file that has one block from 65536 on", async (place) => {
    const { child, blocks } = await ends();
    opened.push(blocks.parent, blocks.child);
    const address = child.allocateShared(64);
    expect(address).toBe(pageBytes);
    const isMade = place === "in 0 65536 0 64"; // the file's beginning, which nothing was laid over: zeros, and no crash
    if (isMade) expect(blocks.parent.at(place)?.every((byte) => byte === 0)).toBe(true);
    else expect(blocks.parent.at(place)).toBeUndefined();
  });

  test("of a connection that is over make room for the next one's, once nothing refers to them", async () => {
    const { parent, child, blocks } = await ends();
    opened.push(blocks.child);
    const address = child.allocateShared(1000);
    const place = blocks.child.placeOf(child.bytes(address, 1000))!;
    const before = blocks.parent.at(place)!.byteOffset;
    blocks.parent.close();
    const next = MemoryFile.create()!;
    const blocksOfNext = new SharedBlocks(parent, next);
    opened.push(blocksOfNext);
    const nextArena = new Arena(1 << 26);
    nextArena.shareBlocks((pages) => next.layOver(nextArena.memory, pages));
    const one = nextArena.allocateShared(1000);
    parent.reclaimPages();
    nextArena.bytes(one, 1).fill(5);
    const named = `in ${one} ${pageBytes} 0 1000`;
    expect([blocksOfNext.at(named)!.byteOffset, blocksOfNext.at(named)![0]]).toEqual([before, 5]);
  });
});
