import { randomBytes } from "node:crypto";
import { createRequire } from "node:module";
import { join } from "node:path";
import { expect, test } from "vitest";
import type * as Ws from "ws";
import { resultOf, root, TuttiProcess, temporaryFolder, trained } from "../system/tutti-process.ts";
import { jsonLines, tutti } from "./command.ts";

const { WebSocket, WebSocketServer } = createRequire(join(root, "packages/worker/package.json"))("ws") as typeof Ws;
const run = "test/fixtures/blobs.ts";
const token = randomBytes(32).toString("hex");

/** A coordinator on a free port, and its address. */
async function coordinator(args: readonly string[] = []): Promise<{ process: TuttiProcess; url: string }> {
  const out = join(temporaryFolder(), "run");
  const process = new TuttiProcess(["coordinator", run, "--port", "0", "--out", out, "--json", ...args], {
    env: { TUTTI_TOKEN: token },
  });
  const { message } = await process.event("notice", (notice) => notice.message.includes("ws://"));
  return { process, url: /ws:\/\/[\d.]+:\d+/.exec(message)![0] };
}

test("trains the same bits with workers that connect from outside, which then end by themselves", async () => {
  const { process, url } = await coordinator(["--min-workers", "2"]);
  const worker = (): ReturnType<typeof tutti> => tutti(["worker", url, "--json"], { env: { TUTTI_TOKEN: token } });
  const workers = await Promise.all([worker(), worker()]);
  expect(await process.end(), process.stderr).toBe(0);
  for (const ended of workers) {
    expect({ status: ended.status, orphans: ended.orphans }).toEqual({ status: 0, orphans: [] });
    expect(jsonLines(ended.stdout).at(-1)).toMatchObject({ type: "parting", code: "completed" });
  }
  const local = await trained([run, "--workers", "0", "--out", join(temporaryFolder(), "run")]);
  expect(resultOf(process.events)).toEqual(local);
});

test("refuses a worker with another token, with one line", async () => {
  const { url } = await coordinator();
  const worker = await tutti(["worker", url], { env: { TUTTI_TOKEN: randomBytes(32).toString("hex") } });
  expect(worker.status).toBe(2);
  expect(worker.stderr).toMatch(/^error\[UNAUTHORIZED\]: .*TUTTI_TOKEN/);
});

test("tells a worker of another version which one it speaks", async () => {
  const { url } = await coordinator();
  const socket = new WebSocket(url, "tutti.v99", { headers: { authorization: `Bearer ${token}` } });
  const frames: Buffer[] = [];
  socket.on("message", (frame: Buffer) => frames.push(frame));
  await new Promise((resolve) => socket.once("close", resolve));
  expect(Buffer.concat(frames).toString("latin1")).toMatch(/goodbye.*PROTOCOL.*tutti\.v\d+.*tutti\.v99/s);
});

test("ends a worker that meets a coordinator of another version, with one line", async () => {
  const other = new WebSocketServer({ host: "127.0.0.1", port: 0, handleProtocols: () => "tutti.v99" });
  await new Promise((resolve) => other.once("listening", resolve));
  const address = other.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const worker = await tutti(["worker", `ws://127.0.0.1:${port}`, "--retry", "0"]);
  other.close();
  expect(worker.status).toBe(1);
  const said = worker.stderr.trimEnd().split("\n");
  expect(said.findLast((line) => !line.startsWith("hint: "))).toMatch(
    /^error\[(PROTOCOL|UNREACHABLE)\]: .*(protocol|version)/i,
  );
  expect(worker.stderr).not.toMatch(/^\s+at /m);
});

test("stops a coordinator that still waits for its workers on Ctrl-C", async () => {
  const { process } = await coordinator(["--min-workers", "3"]);
  process.child.kill("SIGINT");
  expect(await process.end(), process.stderr).toBe(0);
  expect((await process.event("done")).outcome).toBe("stopped");
});
