import { once } from "node:events";
import { createServer, get, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setImmediate } from "node:timers/promises";
import type { LiveUpdate } from "@tutti/core/events";
import { expect, onTestFinished, test, vi } from "vitest";
import { RunViews } from "../../../dashboard/src/run-view.ts";
import { LiveFeed } from "../../src/dashboard/live-feed.ts";
import { RunHistory } from "../../src/dashboard/run-history.ts";
import { SyntheticRun } from "./synthetic-run.ts";

/** A reader over a real connection, and what it has been told. */
class Reader {
  readonly views = new RunViews();
  bytes = 0;
  updates = 0;
  readonly #response: IncomingMessage;

  constructor(response: IncomingMessage) {
    this.#response = response;
    let waiting = "";
    response.setEncoding("utf8").on("data", (text: string) => {
      this.bytes += text.length;
      const blocks = (waiting + text).split("\n\n");
      waiting = blocks.pop()!;
      for (const block of blocks) {
        if (!block.startsWith("data: ")) continue;
        this.updates++;
        this.views.merge(JSON.parse(block.slice(6)) as LiveUpdate);
      }
    });
  }

  pause(): void {
    this.#response.pause();
  }

  resume(): void {
    this.#response.resume();
  }

  /** What is drawn and listed. */
  get shown() {
    const [run] = this.views.runs;
    if (run === undefined) return undefined;
    const lines = (set: typeof run.training) => Object.fromEntries(set.names.map((name) => [name, set.line(name)]));
    const { status, timeline, log } = run;
    return {
      step: status.step,
      training: lines(run.training),
      validation: lines(run.validation),
      recent: lines(run.recent),
      timeline,
      log,
    };
  }
}

async function feedOf(histories: readonly RunHistory[], tickMs = 20) {
  const feed = new LiveFeed("server", histories, tickMs);
  const responses: ServerResponse[] = [];
  const server = createServer((_request, response) => {
    responses.push(response);
    feed.add(response, false);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  const read = async (): Promise<Reader> => {
    const [response] = (await once(get({ port, host: "127.0.0.1", agent: false }), "response")) as [IncomingMessage];
    return new Reader(response);
  };
  return { responses, read };
}

test("a reader that merged every update knows what a new reader is told", async () => {
  const run = new SyntheticRun(7);
  const history = new RunHistory({ id: "run", name: "run", live: run, now: () => 5 });
  const { read } = await feedOf([history]);
  const early = await read();
  history.event(run.started);
  // Uneven parts: some within a row, some beyond a doubling of the stride, some longer than what is kept one by one.
  for (const until of [1, 2, 3, 300, 2047, 2048, 2049, 2050, 4097, 4100, 9000]) {
    for (let step = (early.shown?.step ?? 0) + 1; step <= until; step++) {
      history.event(run.step(step));
      if (step % 1000 === 0)
        history.event({ type: "validation", step, epoch: 0, loss: 1 / step, metrics: {}, samples: 1, wallMs: 1 });
      if (step % 7 === 0) history.event({ type: "notice", message: `notice ${step}` });
    }
    await vi.waitFor(() => expect(early.shown?.step).toBe(until), { timeout: 5000 });
    const late = await read();
    await vi.waitFor(() => expect(late.shown?.step).toBe(until));
    const told = late.shown!;
    expect({ ...early.shown, log: early.shown!.log.slice(-100) }).toEqual({ ...told, log: told.log.slice(-100) });
    expect(late.bytes).toBeLessThan(1_500_000);
  }
  expect(early.shown!.training.loss!.steps.length).toBeGreaterThan(1000);
  expect(early.shown!.recent.loss!.steps).toHaveLength(512);
  expect(early.shown!.timeline).toHaveLength(32);
});

test("a reader that does not read costs little memory, and catches up at once", async () => {
  const run = new SyntheticRun(100);
  const history = new RunHistory({ id: "run", name: "run", live: run });
  const { responses, read } = await feedOf([history], 1);
  history.event(run.started);
  const slow = await read();
  await vi.waitFor(() => expect(slow.updates).toBeGreaterThan(0));
  slow.pause();
  let mostUnread = 0;
  const [response] = responses;
  for (let step = 1; step <= 4000; step++) {
    history.event(run.step(step));
    if (step % 10 !== 0) continue;
    await setImmediate(); // news of some 20 KB may be told
    mostUnread = Math.max(mostUnread, response!.writableLength);
  }
  const told = slow.updates;
  expect(mostUnread).toBeGreaterThan(1 << 20);
  expect(mostUnread).toBeLessThan(2 << 20);
  slow.resume();
  await vi.waitFor(() => expect(slow.shown?.step).toBe(4000), { timeout: 5000 });
  expect(slow.updates).toBeGreaterThan(told);
  expect(slow.shown!.training.loss!.steps.at(-1)).toBe(4000);
});
