import type { RunEvent } from "@tutti/core/events";
import { connectionPair, Silence, type ToWorker } from "@tutti/core/wire";
import { expect, test } from "vitest";
import { tinyRun } from "../../../test/simulator/tiny-run.ts";
import { Member } from "../src/member.ts";
import { defaultMembership } from "../src/membership-policy.ts";
import { Reception, type ReceptionParts } from "../src/reception.ts";

/** A reception, and what came of it. */
function reception(over: Partial<ReceptionParts> = {}) {
  const events: RunEvent[] = [];
  const admitted: Member[] = [];
  const parts: ReceptionParts = {
    run: tinyRun(2, false),
    generation: 1,
    membership: defaultMembership,
    chunkFloats: 32,
    inlineBytes: 64,
    maxWorkers: Number.POSITIVE_INFINITY,
    numericClass: undefined,
    isMixed: false,
    mesh: { isOffered: false, key: "", welcomed: () => {} },
    isTraced: false,
    active: () => admitted.filter(({ isActive }) => isActive),
    emit: (event) => events.push(event),
    admitted: (member) => admitted.push(member),
    ...over,
  };
  return { desk: new Reception(parts), events, admitted };
}

/** A worker that is ready, and what it is told. */
function worker(id: string, numericClass: string): { member: Member; told: ToWorker[] } {
  const { coordinatorEnd, workerEnd } = connectionPair();
  const told: ToWorker[] = [];
  workerEnd.listen({ message: (message) => told.push(message), closed: () => {} });
  coordinatorEnd.listen({ message: () => {}, closed: () => {} });
  const member = new Member(id, coordinatorEnd, "127.0.0.1", new Silence(coordinatorEnd, 100, 0));
  member.host = "host";
  member.numericClass = numericClass;
  return { member, told };
}

const later = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("lets in whoever computes as the first does, and tells others why not", async () => {
  const { desk, events, admitted } = reception();
  const [first, second, other] = [worker("w1", "aa"), worker("w2", "aa"), worker("w3", "bb")];
  for (const { member } of [first, second, other]) desk.ready(member);
  await later();
  expect(admitted.map(({ id }) => id)).toEqual(["w1", "w2"]);
  expect(desk.numericClass).toBe("aa");
  expect(other.told).toMatchObject([{ type: "goodbye", code: "NUMERIC_CLASS", rejoin: false }]);
  expect(events.at(-1)).toMatchObject({ type: "worker", event: "refused", id: "w3" });
});

test("with mixed numerics lets them in, says for each that the promise is off, and stays with the first one's class", () => {
  const { desk, events, admitted } = reception({ isMixed: true, numericClass: "aa" });
  for (const [id, numericClass] of [
    ["w1", "bb"],
    ["w2", "aa"],
    ["w3", "cc"],
  ] as const)
    desk.ready(worker(id, numericClass).member);
  expect(admitted.map(({ id }) => id)).toEqual(["w1", "w2", "w3"]);
  expect(desk.numericClass).toBe("aa");
  const notices = events.flatMap((event) => (event.type === "notice" ? [event.message] : []));
  expect(notices).toHaveLength(2);
  expect(notices[0]).toMatch(
    /^worker w1 on host is let in by --numerics mixed, though its arithmetic differs .* depends on who computes what/,
  );
});

test("keeps the class of a resumed run, and forgets that of a worker that left before the first commit", () => {
  const resumed = reception({ numericClass: "aa" });
  resumed.desk.ready(worker("w1", "bb").member);
  expect(resumed.admitted).toEqual([]);
  const fresh = reception();
  const { member } = worker("w1", "bb");
  fresh.desk.ready(member);
  member.state = "gone";
  fresh.desk.left(member);
  fresh.desk.ready(worker("w2", "aa").member);
  expect(fresh.desk.numericClass).toBe("aa");
  expect(fresh.admitted.map(({ id }) => id)).toEqual(["w1", "w2"]);
});

test("lets no more than --max-workers compute, and the one that has waited longest take the next free place", () => {
  const { desk, events, admitted } = reception({ maxWorkers: 2 });
  const members = ["w1", "w2", "w3", "w4"].map((id) => worker(id, "aa").member);
  for (const member of members) desk.ready(member);
  expect(admitted.map(({ id }) => id)).toEqual(["w1", "w2"]);
  expect(events.filter((event) => event.type === "worker" && event.event === "standby")).toHaveLength(2);
  members[0]!.state = "gone";
  desk.left(members[0]!);
  expect(admitted.map(({ id }) => id)).toEqual(["w1", "w2", "w3"]);
});
