import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { Link } from "../../packages/tutti/src/chaos/index.ts";

interface Ends {
  readonly link: Link;
  readonly worker: Socket;
  readonly coordinator: Socket;
}

/** A connection through a link: what is written into one end arrives at the other, or not. */
async function linked(): Promise<Ends> {
  const server = createServer({ allowHalfOpen: true });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const link = await Link.open({ coordinatorPort: () => port, onBytes: () => {} });
  const worker = connect({ host: "127.0.0.1", port: Number(new URL(link.url).port), allowHalfOpen: true });
  worker.on("error", () => {});
  const [coordinator] = (await once(server, "connection")) as [Socket];
  coordinator.on("error", () => {});
  onTestFinished(async () => {
    worker.destroy();
    coordinator.destroy();
    server.close();
    await link.close();
  });
  return { link, worker, coordinator };
}

/** Bytes that look like nothing else. */
function noise(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let i = 0, state = 9; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

async function read(socket: Socket, length: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let received = 0;
  while (received < length) {
    const [chunk] = (await once(socket, "data")) as [Buffer];
    chunks.push(chunk);
    received += chunk.byteLength;
  }
  return Buffer.concat(chunks);
}

test("hands on every byte in both directions, and the end of each", async () => {
  const { worker, coordinator } = await linked();
  const sent = noise(5_000_000);
  const [up, down] = [read(coordinator, sent.byteLength), read(worker, 1000)];
  worker.write(sent);
  coordinator.write(sent.subarray(0, 1000));
  expect((await up).equals(sent)).toBe(true);
  expect((await down).equals(sent.subarray(0, 1000))).toBe(true);
  worker.end();
  await once(coordinator, "end");
  coordinator.end();
  await once(worker, "end");
});

test("loses and reorders nothing while it is down, delayed or narrow", async () => {
  const { link, worker, coordinator } = await linked();
  const sent = noise(300_000);
  const received = read(coordinator, sent.byteLength);
  link.down();
  worker.write(sent.subarray(0, 100_000));
  link.delay(30);
  worker.write(sent.subarray(100_000, 200_000));
  link.limit(2_000_000);
  worker.write(sent.subarray(200_000));
  const startMs = performance.now();
  link.up();
  expect((await received).equals(sent)).toBe(true);
  expect(performance.now() - startMs).toBeGreaterThan(80); // 300 kB at 2 MB/s, but for the last chunk
});

test("makes bytes arrive later by its delay", async () => {
  const { link, worker, coordinator } = await linked();
  link.delay(120);
  const startMs = performance.now();
  worker.write("x");
  await once(coordinator, "data");
  expect(performance.now() - startMs).toBeGreaterThanOrEqual(119);
});

test("swallows one direction, and its end, while the other goes on", async () => {
  const { link, worker, coordinator } = await linked();
  let heard = 0;
  coordinator.on("data", (chunk: Buffer) => {
    heard += chunk.byteLength;
  });
  let toldOfEnd = false;
  coordinator.on("close", () => {
    toldOfEnd = true;
  });
  link.swallow(["up"]);
  worker.write(noise(1000));
  coordinator.write("still here");
  expect((await once(worker, "data")).toString()).toBe("still here");
  worker.destroy();
  await once(worker, "close");
  expect({ heard, toldOfEnd, isConnected: link.isConnected }).toEqual({
    heard: 0,
    toldOfEnd: false,
    isConnected: false,
  });
});

test("flips one bit of the byte it was told to, and of no other", async () => {
  const { link, worker, coordinator } = await linked();
  const sent = noise(200_000);
  link.corrupt("up", 123_456, 5);
  const received = read(coordinator, sent.byteLength);
  worker.write(sent);
  const expected = Buffer.from(sent);
  expected[123_456]! ^= 1 << 5;
  expect((await received).equals(expected)).toBe(true);
});

for (const how of ["reset", "closed"] as const) {
  test(`ends both sides when it is ${how}`, async () => {
    const { link, worker, coordinator } = await linked();
    const ended = [worker, coordinator].map(
      (end) =>
        new Promise<string>((resolve) => {
          end.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? ""));
          end.once("end", () => resolve("end")).resume();
        }),
    );
    link.cut(how === "reset");
    expect(await Promise.all(ended)).toEqual(how === "reset" ? ["ECONNRESET", "ECONNRESET"] : ["end", "end"]);
  });
}
