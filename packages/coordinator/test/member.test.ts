import { connectionPair, Silence } from "@tutti/core/wire";
import { expect, test } from "vitest";
import { Member } from "../src/member.ts";

const lease = { type: "lease", generation: 1, round: 1, step: 0, lo: 0, hi: 1 } as const;

/** A member that last made progress at 0, and the bytes that have arrived from it. */
function member(): { readonly member: Member; readonly arrived: { arrivedBytes: number } } {
  const arrived = { arrivedBytes: 0 };
  const connection = Object.assign(connectionPair().coordinatorEnd, arrived);
  return { member: new Member("w1", connection, "127.0.0.1", new Silence(connection, 100, 0)), arrived: connection };
}

const heartbeat = (arrivedBytes: number, leases: number) =>
  ({ type: "heartbeat", sentMs: 0, arrivedBytes, leases }) as const;

test("counts what a worker is sent before it can begin as progress, and what comes after its lease as none", () => {
  const { member: worker } = member();
  worker.send(lease);
  for (let second = 1; second <= 60; second++) {
    worker.heartbeat(heartbeat(second * 20_000, 0));
    worker.noteTransfer(second * 1000);
    expect(worker.lastProgressMs).toBe(second * 1000);
  }
  for (let second = 61; second <= 120; second++) {
    worker.heartbeat(heartbeat(second * 20_000, 1));
    worker.noteTransfer(second * 1000);
  }
  expect(worker.lastProgressMs).toBe(60_000);
});

test("counts sums that trickle in as progress, and heartbeats as none", () => {
  const { member: worker, arrived } = member();
  worker.send(lease);
  worker.heartbeat(heartbeat(500, 1));
  for (let second = 1; second <= 30; second++) {
    arrived.arrivedBytes += 150;
    worker.noteTransfer(second * 1000);
  }
  expect(worker.lastProgressMs).toBe(0);
  for (let second = 31; second <= 60; second++) {
    arrived.arrivedBytes += 3000;
    worker.noteTransfer(second * 1000);
  }
  expect(worker.lastProgressMs).toBeGreaterThan(54_000);
});
