import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { BatchingSocket } from "@tutti/core/wire";
import { afterEach, expect, test } from "vitest";
import { WebSocket, WebSocketServer } from "ws";

const opened: { close(): void }[] = [];

afterEach(() => {
  for (const one of opened.splice(0).reverse()) one.close();
});

/** A WebSocket through a relay that notes what TCP hands over at once. */
async function relayed(): Promise<{ sender: WebSocket; stream: Socket; receiver: WebSocket; reads: number[] }> {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  opened.push(server);
  await new Promise((resolve) => server.once("listening", resolve));
  const reads: number[] = [];
  const relay = createServer((from) => {
    const to = connect((server.address() as AddressInfo).port, "127.0.0.1");
    from.on("data", (bytes) => reads.push(bytes.byteLength));
    for (const socket of [from, to]) socket.on("error", () => {});
    from.pipe(to).pipe(from);
  });
  opened.push(relay);
  await new Promise<void>((resolve) => relay.listen(0, "127.0.0.1", resolve));
  const accepted = new Promise<WebSocket>((resolve) => server.once("connection", resolve));
  const sender = new WebSocket(`ws://127.0.0.1:${(relay.address() as AddressInfo).port}`);
  opened.push({ close: () => sender.terminate() });
  let stream: Socket | undefined;
  sender.once("upgrade", (response) => {
    stream = response.socket;
  });
  await new Promise((resolve) => sender.once("open", resolve));
  const receiver = await accepted;
  reads.length = 0;
  return { sender, stream: stream!, receiver, reads };
}

test("hands the frames of one turn to the network at once, in order, and those of the next by themselves", async () => {
  const { sender, stream, receiver, reads } = await relayed();
  const batching = new BatchingSocket(sender);
  batching.opened(stream);
  const arrived: number[] = [];
  const arrives = (count: number): Promise<void> =>
    new Promise((resolve) => {
      receiver.on("message", () => arrived.length === count && resolve());
    });
  receiver.on("message", (data: Buffer) => arrived.push(data.byteLength));
  const binary = { binary: true, compress: false };
  const first = arrives(20);
  const flushed: number[] = [];
  for (let i = 1; i <= 20; i++) batching.send(Buffer.alloc(i), binary, () => flushed.push(i));
  expect(flushed).toEqual([]);
  await first;
  expect(arrived).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
  expect(flushed).toEqual(arrived);
  expect(reads).toEqual([20 * 6 + 210]); // each with 2 bytes of header and 4 of the masking key
  const second = arrives(21);
  batching.send(Buffer.alloc(100), binary);
  await second;
  expect(reads).toEqual([330, 106]);
});

test("passes on what it does not change", async () => {
  const { sender, stream, receiver } = await relayed();
  const batching = new BatchingSocket(sender);
  batching.opened(stream);
  expect(batching.bufferedAmount).toBe(0);
  expect(batching.placeOf(new Uint8Array(8))).toBeUndefined();
  const ponged = new Promise((resolve) => receiver.once("pong", (data: Buffer) => resolve(data.toString())));
  batching.pong(Buffer.from("here"));
  expect(await ponged).toBe("here");
  const messages = new Promise((resolve) => batching.on("message", (data) => resolve(data.toString())));
  receiver.send("back");
  expect(await messages).toBe("back");
  const closed = new Promise((resolve) => batching.on("close", (code) => resolve(code)));
  batching.close(4001, "enough");
  expect(await closed).toBe(4001);
});

test("hands over messages of all sizes as they were sent, and frees what they were read into once they were heard", async () => {
  const { sender, stream, receiver } = await relayed();
  const batching = new BatchingSocket(sender);
  batching.opened(stream);
  const sizes = [3, 70_000, 0, 1_000_000, 65_536, 12, 200_000, 5000, 5000, 300_000, 1];
  const content = (i: number, bytes: number): Buffer => Buffer.alloc(bytes, `message ${i} of many`);
  const seen: { readonly isSame: boolean; readonly data: Uint8Array; readonly bytes: number }[] = [];
  const all = new Promise<void>((resolve) => {
    batching.on("message", (data) => {
      const i = seen.length;
      seen.push({ isSame: content(i, sizes[i]!).equals(data), data, bytes: data.byteLength });
      if (seen.length === sizes.length) setImmediate(resolve);
    });
  });
  for (const [i, bytes] of sizes.entries()) receiver.send(content(i, bytes));
  await all;
  expect(seen.map(({ bytes }) => bytes)).toEqual(sizes);
  expect(seen.every(({ isSame }) => isSame)).toBe(true);
  const kept = seen.filter(({ bytes, data }) => bytes >= 70_000 && data.byteLength > 0);
  expect(kept).toEqual([]);
});

test("hands a MiB over before the turn is over", async () => {
  const { sender, stream } = await relayed();
  const batching = new BatchingSocket(sender);
  batching.opened(stream);
  const before = stream.bytesWritten;
  const binary = { binary: true, compress: false };
  for (let i = 0; i < 3; i++) batching.send(Buffer.alloc(300_000), binary);
  expect(stream.writableCorked).toBeGreaterThan(0);
  batching.send(Buffer.alloc(200_000), binary);
  expect(stream.writableCorked).toBe(0);
  expect(stream.bytesWritten - before).toBe(1_100_000 + 4 * 14); // each with 10 bytes of header and 4 of the masking key
  batching.send(Buffer.alloc(10), binary);
  expect(stream.writableCorked).toBeGreaterThan(0);
  await new Promise((resolve) => setImmediate(resolve));
  expect(stream.writableCorked).toBe(0);
});

test("hands over what is queued when it is told to, before the turn is over", async () => {
  const { sender, stream } = await relayed();
  const batching = new BatchingSocket(sender);
  batching.opened(stream);
  const before = stream.bytesWritten;
  const binary = { binary: true, compress: false };
  batching.send(Buffer.alloc(10), binary);
  batching.send(Buffer.alloc(20), binary);
  expect(stream.writableCorked).toBeGreaterThan(0);
  batching.flush();
  expect(stream.writableCorked).toBe(0);
  expect(stream.bytesWritten - before).toBe(30 + 2 * 6);
  batching.flush();
  batching.send(Buffer.alloc(10), binary);
  expect(stream.writableCorked).toBeGreaterThan(0);
  await new Promise((resolve) => setImmediate(resolve));
  expect(stream.writableCorked).toBe(0);
});
