import { Generations, Reduction } from "@tutti/core/exchange";
import { computeMemory } from "@tutti/core/kernels";
import { Arena } from "@tutti/core/memory";
import { compileOptimizer, initialPlateau, optim } from "@tutti/core/optim";
import { flatLayout } from "@tutti/core/step";
import { connectionPair, Silence, type ToWorker } from "@tutti/core/wire";
import { expect, test } from "vitest";
import { DirectExchange } from "../src/direct-exchange.ts";
import { Member } from "../src/member.ts";
import { Publisher } from "../src/publisher.ts";
import { Signal } from "../src/signal.ts";
import { StepRound } from "../src/step-round.ts";

const lateMs = 300;

/** A step of two shards and three chunks, computed by two members, whose scalars are in; what each member is told. */
function exchange() {
  const memory = computeMemory(new Arena(1 << 20));
  const { arena } = memory;
  const layout = flatLayout([{ name: "w", shape: [80] }]);
  const optimizer = compileOptimizer(optim.sgd({ lr: 1 }), layout);
  const floats = { total: 80, updated: 80, trainable: 80 };
  const generations = new Generations(arena, optimizer, floats, { step: 3, updates: 3 });
  const reduction = new Reduction(memory, { sumsFloats: 80, chunkFloats: 32, rounding: undefined, seed: 0 });
  const changed = new Signal();
  const publisher = new Publisher({ arena, generations, reduction, generation: 1, inlineBytes: 0, changed });
  const nodes = [
    { lo: 0, hi: 1 },
    { lo: 1, hi: 2 },
  ];
  const [program, bytes] = ["aa", new Uint8Array(0)];
  const shard = { program, samples: 1, firstPosition: 0, bytes };
  const nothing = (): void => {};
  const round = new StepRound({
    ...{ number: 7, step: 3, nodes, areLent: false, reduction, arena, scalarsLength: 2 },
    batch: { epoch: 0, samples: 2, shards: [shard, shard] },
    ...{ chunkReduced: nothing, scalarsKnown: nothing, complete: nothing },
    ...{ disputed: nothing, differs: nothing, wrong: nothing },
  });
  round.isDirect = true;
  const told: ToWorker[][] = [[], []];
  const members = told.map((messages, i) => {
    const { coordinatorEnd, workerEnd } = connectionPair();
    workerEnd.listen({ message: (message) => messages.push(message), closed: nothing });
    const member = new Member(`w${i + 1}`, coordinatorEnd, "127.0.0.1", new Silence(coordinatorEnd, 100, 0));
    member.state = "active";
    return member;
  });
  const notices: string[] = [];
  const direct = new DirectExchange({
    clock: { now: () => 0, setTimer: () => ({ cancel: nothing }) },
    ...{ generation: 1, round, reduction, publisher, participants: members, updates: 3, plateau: initialPlateau },
    updatedChunks: () => [],
    agreed: nothing,
    notice: (message) => notices.push(message),
  });
  for (const [i, member] of members.entries()) {
    const lease = round.leases.get(nodes[i]!)!;
    round.leases.deal(lease, member, 0);
    const scalars = new Uint8Array(Float32Array.of(1, 1).buffer);
    const position = { generation: 1, round: 7, step: 3, ...nodes[i]! };
    round.result(member, { type: "result", ...position, scalars, computeMs: 1, chunks: 3, payloadBytes: 0 });
  }
  /** What the members were told, in order, once it has arrived. */
  const arrived = async (): Promise<string[][]> => {
    await new Promise((resolve) => setImmediate(resolve));
    return told.map((messages) => messages.map(({ type }) => type));
  };
  return { direct, members, notices, arrived, told, round };
}

test("owns what is missing when nothing has come for too long, and members owe it their sums then", async () => {
  const { direct, members, notices, arrived, told, round } = exchange();
  expect(round.leases.heldBy(members[0]!)).toBe(0);
  direct.tick(lateMs - 1, lateMs);
  expect(await arrived()).toEqual([[], []]);
  direct.tick(lateMs, lateMs);
  expect(await arrived()).toEqual([["reown"], ["reown"]]);
  expect(told[0]![0]).toMatchObject({ round: 7, chunks: [{ first: 0, end: 3 }] });
  expect(notices).toEqual(["step 4: sums have not come for a long time; what is missing goes over the coordinator"]);
  expect(round.leases.heldBy(members[0]!)).toBe(1);
});

test("waits as long as anything still arrives between members, however slowly", async () => {
  const { direct, members, arrived } = exchange();
  for (let second = 1; second <= 60; second++) {
    members[1]!.heartbeat({ type: "heartbeat", sentMs: 0, arrivedBytes: 0, peerBytes: second * 100, leases: 1 });
    direct.tick(second * 1000, 2000);
  }
  expect(await arrived()).toEqual([[], []]);
  direct.tick(61_999, 2000);
  expect(await arrived()).toEqual([[], []]);
  direct.tick(62_000, 2000);
  expect(await arrived()).toEqual([["reown"], ["reown"]]);
});

test("takes over what a member that is gone owned, and tells those who are left", async () => {
  const { direct, members, arrived, told } = exchange();
  direct.left(members[0]!);
  expect(await arrived()).toEqual([[], ["reown"]]);
  expect(told[1]![0]).toMatchObject({ chunks: [{ first: 0, end: 2 }] });
  expect([direct.mayCompute(members[0]!), direct.mayCompute(members[1]!)]).toEqual([false, true]);
  direct.left(members[1]!);
  expect([direct.mayCompute(members[0]!), direct.isAgreed]).toEqual([true, true]);
});
