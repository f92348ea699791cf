import { existsSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { type MessageSocket, SharedFile } from "@tutti/core/wire";
import { afterEach, describe, expect, test } from "vitest";
import { WebSocket, WebSocketServer } from "ws";

const hasMemoryFiles = existsSync("/dev/shm");
if (!hasMemoryFiles) console.warn("SKIPPED: files in memory need /dev/shm, which this machine has not");
const binary = { binary: true, compress: false };
const opened: { close(): void }[] = [];

afterEach(() => {
  for (const one of opened.splice(0).reverse()) one.close();
});

/** Two sockets of one connection, and what travels over it. */
async function sockets(): Promise<{ parent: WebSocket; child: WebSocket; bytesSent: () => number }> {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  opened.push(server);
  const accepted = new Promise<WebSocket>((resolve) => server.once("connection", resolve));
  await new Promise((resolve) => server.once("listening", resolve));
  const child = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
  await new Promise((resolve) => child.once("open", resolve));
  const parent = await accepted;
  opened.push({ close: () => child.terminate() });
  const raw = Reflect.get(child, "_socket") as { bytesWritten: number };
  return { parent, child, bytesSent: () => raw.bytesWritten };
}

/** Hashes of the frames that arrive, since a frame is only valid while it is handed over. */
function arriving(socket: MessageSocket, count: number): Promise<{ bytes: number; sum: number; isBinary: boolean }[]> {
  return new Promise((resolve) => {
    const frames: { bytes: number; sum: number; isBinary: boolean }[] = [];
    socket.on("message", (data, isBinary) => {
      frames.push({
        bytes: data.byteLength,
        sum: data.reduce((sum, byte, i) => (sum * 31 + byte + i) % 65_521, 7),
        isBinary,
      });
      if (frames.length === count) resolve(frames);
    });
  });
}

function frame(bytes: number, seed: number): Buffer {
  return Buffer.from(Uint8Array.from({ length: bytes }, (_, i) => (i * 13 + seed * 101) % 251));
}

function sumOf(data: Buffer): number {
  return data.reduce((sum, byte, i) => (sum * 31 + byte + i) % 65_521, 7);
}

describe.skipIf(!hasMemoryFiles)("a file that two processes share", () => {
  async function pair() {
    const file = SharedFile.create()!;
    opened.push(file);
    const { parent, child, bytesSent } = await sockets();
    return { file, parent: file.wrap(parent), child: new SharedFile(file.descriptor, "child").wrap(child), bytesSent };
  }

  test("carries large frames in order with small ones, many times its own size, and hardly any bytes by the socket", async () => {
    const { parent, child, bytesSent } = await pair();
    const sizes = Array.from({ length: 60 }, (_, i) => [40, 300_000, 16_384, 1_048_576][i % 4]!);
    const arrived = arriving(parent, sizes.length);
    let [next, sent] = [0, 0];
    // One at a time, so that the file has room again.
    const send = (): void => {
      const bytes = sizes[next]!;
      sent += bytes;
      child.send(frame(bytes, next++), binary);
    };
    parent.on("message", () => next < sizes.length && send());
    child.on("message", () => {}); // so that it hears what was read
    send();
    expect(await arrived).toEqual(sizes.map((bytes, i) => ({ bytes, sum: sumOf(frame(bytes, i)), isBinary: true })));
    expect(sent).toBeGreaterThan(16e6);
    expect(bytesSent()).toBeLessThan(sent / 50);
  });

  test("goes through the socket while the file is full, and nothing is lost", async () => {
    const { parent, child, bytesSent } = await pair();
    const arrived = arriving(parent, 12);
    for (let i = 0; i < 12; i++) child.send(frame(1 << 20, i), binary); // the other end has read nothing yet
    const frames = await arrived;
    expect(frames.map(({ sum }) => sum)).toEqual(Array.from({ length: 12 }, (_, i) => sumOf(frame(1 << 20, i))));
    expect(bytesSent()).toBeGreaterThan(3 << 20);
    expect(bytesSent()).toBeLessThan(6 << 20);
  });

  test("is used in both directions at once", async () => {
    const { parent, child } = await pair();
    const [up, down] = [arriving(parent, 50), arriving(child, 50)];
    for (let i = 0; i < 50; i++) {
      child.send(frame(100_000, i), binary);
      parent.send(frame(100_000, 1000 + i), binary);
    }
    expect((await up).map(({ sum }) => sum)).toEqual(Array.from({ length: 50 }, (_, i) => sumOf(frame(100_000, i))));
    expect((await down).map(({ sum }) => sum)).toEqual(
      Array.from({ length: 50 }, (_, i) => sumOf(frame(100_000, 1000 + i))),
    );
  });

  test("belongs to the last connection: the one before is cut", async () => {
    const { file, parent } = await pair();
    const closed = new Promise((resolve) => parent.on("close", resolve));
    const next = await sockets();
    const again = file.wrap(next.parent);
    await closed;
    const arrived = arriving(again, 1);
    new SharedFile(file.descriptor, "child").wrap(next.child).send(frame(200_000, 3), binary);
    expect(await arrived).toEqual([{ bytes: 200_000, sum: sumOf(frame(200_000, 3)), isBinary: true }]);
  });

  test.each(["at 0 0", "at 99999999 9999999999", "at 5", "read 12", "hello", "at -1 5"])(
    "hands %j over as the text frame it is, for the connection to refuse",
    async (text) => {
      const file = SharedFile.create()!;
      opened.push(file);
      const { parent, child } = await sockets();
      const arrived = arriving(file.wrap(parent), 1);
      child.send(text);
      expect(await arrived).toMatchObject([{ bytes: text.length, isBinary: false }]);
    },
  );
});
