import { createServer } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { subprotocol } from "@tutti/core/wire";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { WebSocketServer } from "ws";
import { Dice } from "../../packages/tutti/src/chaos/dice.ts";
import { type PreparedRun, prepareRun } from "../../packages/tutti/src/prepare-run.ts";
import { type CommandResult, tutti } from "../cli/command.ts";
import definition from "../fixtures/blobs.ts";
import { root } from "../system/tutti-process.ts";
import { badCoordinators, Caller, type Said, type Script, script } from "./bad-coordinators.ts";
import { randomBytes } from "./mutate.ts";

const seed = Number(process.env.TUTTI_FUZZ_SEED ?? 1);
/** A worker gives up after five broken memberships in a row: so many fit into one process, and then a good one. */
const badPerProcess = 4;
const processesAtOnce = 3;

let prepared: PreparedRun;
let lines: Script;
beforeAll(async () => {
  prepared = await prepareRun(definition, root);
  lines = script(prepared);
});
afterAll(() => prepared.close());

/** Lets a worker process connect, again and again; `treat` is told how often it has. */
async function lobby(treat: (caller: Caller, visit: number) => void | Promise<void>): Promise<string> {
  const http = createServer();
  const sockets = new WebSocketServer({ server: http, handleProtocols: () => subprotocol });
  let visit = 0;
  sockets.on("connection", (socket) => {
    const caller = new Caller(socket);
    void caller.says("hello").then(() => treat(caller, visit++));
  });
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    sockets.close();
    http.closeAllConnections();
    http.close();
  });
  return `ws://127.0.0.1:${(http.address() as AddressInfo).port}`;
}

function goodbye(caller: Caller): void {
  caller.say({ message: { type: "goodbye", code: "completed", message: "the run is over", rejoin: false } });
  caller.hangUp(1000);
}

/** One line that names a code, no stack trace, and not by a signal. */
function expectCleanEnd({ status, stderr }: CommandResult, what: string): void {
  expect([0, 1, 2], `${what}: ${stderr}`).toContain(status);
  expect(stderr, what).not.toMatch(/\n\s+at |INTERNAL|[Uu]ncaught|[Uu]nhandled/);
}

test("a worker process outlives every bad coordinator, and works for the next", async () => {
  const failures: string[] = [];
  const treated = new Set<string>();
  const cases = badCoordinators.flatMap((bad, i) =>
    /random|mutates|order\b/.test(bad.name)
      ? [0, 1, 2, 3].map((n) => ({ bad, number: 100 * i + n }))
      : [{ bad, number: 100 * i }],
  );
  const processes = Array.from({ length: Math.ceil(cases.length / badPerProcess) }, (_, i) =>
    cases.slice(i * badPerProcess, (i + 1) * badPerProcess),
  );
  const runOne = async (batch: typeof cases): Promise<void> => {
    const names = batch.map(({ bad, number }) => `${number} (${bad.name})`).join(", ");
    const url = await lobby(async (caller, visit) => {
      const next = batch[visit];
      if (next === undefined) {
        goodbye(caller);
        return;
      }
      const { bad, number } = next;
      await bad.treat(caller, lines, new Dice(seed * 1_000_000 + number, "schedule"));
      const code = await caller.ended;
      treated.add(bad.name);
      if (!bad.allowed.includes(code))
        failures.push(
          `seed ${seed}, case ${number} (${bad.name}): the worker hung up with ${code}, expected ${bad.allowed}`,
        );
    });
    const result = await tutti(["worker", url, "--retry", "5"]);
    expectCleanEnd(result, `seed ${seed}, cases ${names}`);
    // Unless a mutation turned one message into another that ends a membership for good.
    if (!names.includes("mutates") && !names.includes("random") && !names.includes("order)")) {
      expect(result.status, `${names}: ${result.stderr}`).toBe(0);
    }
  };
  const queue = [...processes];
  await Promise.all(
    Array.from({ length: processesAtOnce }, async () => {
      for (let batch = queue.shift(); batch !== undefined; batch = queue.shift()) await runOne(batch);
    }),
  );
  expect(failures).toEqual([]);
  expect([...treated].sort()).toEqual(badCoordinators.map(({ name }) => name).sort());
});

test("a worker gives up a coordinator that breaks the protocol five times in a row", async () => {
  let visits = 0;
  const url = await lobby((caller) => {
    visits++;
    caller.raw("text");
  });
  const { status, stderr } = await tutti(["worker", url, "--retry", "30"]);
  expect(stderr).toMatch(/error\[PROTOCOL\]: .*text frame/);
  expect([status, visits]).toEqual([1, 5]);
});

/** Replaces every occurrence of a text in a graph by another of the same length. */
function patched(onnx: Uint8Array, from: string, to: string): Uint8Array {
  const text = Buffer.from(onnx).toString("latin1");
  return Buffer.from(text.replaceAll(from, to), "latin1");
}

/** A field behind the last of a ModelProto: protobuf merges it. */
function appended(onnx: Uint8Array, field: number, content: Buffer): Uint8Array {
  return Buffer.concat([onnx, Buffer.of(field * 8 + 2, content.length), content]);
}

const text = (field: number, content: string): Buffer =>
  Buffer.concat([Buffer.of(field * 8 + 2, content.length), Buffer.from(content)]);

/** A tensor whose values are in a file of this machine (TensorProto 13, 14). */
const external = Buffer.concat([
  Buffer.of(0x08, 1, 0x10, 1),
  text(8, "stolen"),
  Buffer.concat([Buffer.of(13 * 8 + 2, 23), text(1, "location"), text(2, "/etc/passwd")]),
  Buffer.of(14 * 8, 1),
]);

test.each([
  ["an operator that is not allowed", (onnx: Uint8Array) => patched(onnx, "Tanh", "Loop"), /Loop/],
  [
    "a domain that is not allowed",
    (onnx: Uint8Array) => appended(onnx, 8, Buffer.concat([text(1, "evil.example"), Buffer.of(0x10, 1)])),
    /evil\.example/,
  ],
  [
    "external data",
    (onnx: Uint8Array) => appended(onnx, 7, Buffer.concat([Buffer.of(5 * 8 + 2, external.length), external])),
    /stolen is stored in another file/,
  ],
  ["bytes that are no graph", () => new Uint8Array(1000).fill(0xff), /not an ONNX model/],
])("a worker refuses a program with %s, at once", async (_name, change, reason) => {
  let visits = 0;
  const training = lines.programs.find(
    ({ message }) => message.type === "program" && message.manifest.mode === "train",
  );
  const payload = change(training!.payload!);
  const header = { ...training!.message, payloadBytes: payload.byteLength } as Said["message"];
  const url = await lobby((caller) => {
    visits++;
    caller.say({ message: lines.welcome }, { message: header, payload });
  });
  const { status, stderr } = await tutti(["worker", url]);
  expect(stderr).toMatch(/error\[GRAPH_INVALID\]/);
  expect(stderr).toMatch(reason);
  expect([status, visits]).toEqual([2, 1]);
});

test.each([
  ["says nothing", () => {}],
  ["answers with random bytes", (socket: Socket) => socket.end(randomBytes(new Dice(seed, "schedule"), 4096))],
  ["closes at once", (socket: Socket) => socket.destroy()],
])("a worker ends with UNREACHABLE when what it connects to %s", async (_name, answer) => {
  const http = createServer();
  http.on("connection", (socket) => {
    socket.removeAllListeners("data");
    answer(socket);
  });
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    http.closeAllConnections();
    http.close();
  });
  const { port } = http.address() as AddressInfo;
  const { status, stderr } = await tutti(["worker", `ws://127.0.0.1:${port}`, "--retry", "1"]);
  expect(stderr).toMatch(/error\[UNREACHABLE\]/);
  expect(status).toBe(1);
});
