import { expect, test } from "vitest";
import { defaultMembership, type MemberFacts, overdue } from "../src/membership-policy.ts";

const config = defaultMembership;
const member = (over: Partial<MemberFacts> = {}): MemberFacts => ({
  ...{ id: "w1", state: "active", silentMs: 0, connectedMs: 0, isReady: true, bufferedBytes: 0 },
  ...over,
});
const verdict = (over: Partial<MemberFacts>, nowMs = 0): string | undefined =>
  overdue([member(over)], nowMs, config)[0]?.reason;

test("names silence so that it is known within a heartbeat and 2 s", () => {
  const checkMs = config.heartbeatMs / 5;
  // What arrived last may have been seen a check late, and the limit is passed up to a check before it is looked at.
  expect(config.silenceMs + 2 * checkMs).toBeLessThanOrEqual(config.heartbeatMs + 2000);
  expect(verdict({ silentMs: config.silenceMs })).toBeUndefined();
  expect(verdict({ silentMs: config.silenceMs + 1 })).toBe("silent for 2251 ms (limit 2250)");
});

test("gives a worker that still compiles more time, and one that waits for a place no less than others", () => {
  const loading = { state: "loading", isReady: false } as const;
  expect(verdict({ ...loading, silentMs: 29_000 })).toBeUndefined();
  expect(verdict({ ...loading, silentMs: 31_000 })).toMatch(/^silent for 31000 ms/);
  expect(verdict({ state: "loading", isReady: true, silentMs: 3000 })).toMatch(/^silent for 3000 ms/);
});

test("gives nobody for ever to say hello or to get ready", () => {
  expect(verdict({ state: "connecting" }, config.helloMs)).toBeUndefined();
  expect(verdict({ state: "connecting" }, config.helloMs + 1)).toBe("no hello within 10000 ms");
  const loading = { state: "loading", isReady: false } as const;
  expect(verdict(loading, config.loadingMs)).toBeUndefined();
  expect(verdict(loading, config.loadingMs + 1)).toBe("not ready within 300000 ms");
  expect(verdict({ state: "loading" }, config.loadingMs + 1)).toBeUndefined(); // ready, it may wait for a place
});

test("drops who does not take what it is sent, and decides nothing about who has gone", () => {
  expect(verdict({ bufferedBytes: config.maxBufferedBytes + 1 })).toMatch(/^cannot keep up: 1073741825 bytes/);
  expect(verdict({ state: "gone", silentMs: 1e9 })).toBeUndefined();
});

test("is a function of its arguments alone", () => {
  const members = [member(), member({ id: "w2", silentMs: 4000 }), member({ id: "w3", state: "connecting" })];
  const once = overdue(members, 11_000, config);
  expect(once.map(({ id }) => id)).toEqual(["w2", "w3"]);
  expect(overdue(members, 11_000, config)).toEqual(once);
});
