import { serve } from "@tutti/coordinator";
import { type Connection, maxFrameBytes, type ToCoordinator, type ToWorker } from "@tutti/core/wire";
import { connect } from "@tutti/worker";

export interface Loopback {
  /** Upload of a worker, both ends in this thread. */
  readonly bytesPerSecond: number;
  /** Median time of a small message there and back. */
  readonly roundTripMs: number;
}

const chunkBytes = 1 << 18;
const chunks = 512;
const trips = 200;

/** Both ends are this function: nothing they say needs to make sense. */
const unruled = { maxHeaderBytes: maxFrameBytes, sent(): void {}, received(): void {} };

/** Sends sums and small messages over a WebSocket of this machine, with the very code that a run uses. */
export async function measureLoopback(): Promise<Loopback> {
  let received = 0;
  let allReceived: () => void = () => {};
  const uploaded = new Promise<void>((resolve) => {
    allReceived = resolve;
  });
  const answer = (connection: Connection<ToWorker, ToCoordinator>): void =>
    connection.listen({
      message: (message) => {
        if (message.type === "heartbeat") connection.send({ type: "heartbeat", sentMs: 0 });
        else if (++received === chunks) allReceived();
      },
      closed: () => {},
    });
  const server = await serve({ host: "127.0.0.1", port: 0, accept: answer, rules: () => unruled });
  const deadlines = { timeoutMs: 5000, firstMessageMs: 60_000, afterGoodbyeMs: 5000 };
  const connection = await connect({ url: server.url, rules: unruled, ...deadlines });
  try {
    let answered: () => void = () => {};
    connection.listen({ message: () => answered(), closed: () => {} });
    const tripsMs: number[] = [];
    for (let trip = 0; trip < trips; trip++) {
      const startMs = performance.now();
      await new Promise<void>((resolve) => {
        answered = resolve;
        connection.send({ type: "heartbeat", sentMs: 0, arrivedBytes: 0, leases: 0 });
      });
      tripsMs.push(performance.now() - startMs);
    }
    const payload = new Uint8Array(chunkBytes);
    const startMs = performance.now();
    for (let chunk = 0; chunk < chunks; chunk++) {
      const position = { generation: 0, round: 0, step: 0, lo: 0, hi: 1 };
      connection.send({ type: "partial", ...position, chunk, payloadBytes: chunkBytes }, payload);
    }
    await uploaded;
    const bytesPerSecond = (chunks * chunkBytes * 1000) / (performance.now() - startMs);
    return { bytesPerSecond, roundTripMs: tripsMs.sort((a, b) => a - b)[trips / 2]! };
  } finally {
    connection.close("measured");
    await server.close();
  }
}
