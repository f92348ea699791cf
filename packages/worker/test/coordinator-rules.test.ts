import { type MessageOf, protocolVersion, type ToWorker } from "@tutti/core/wire";
import { expect, test } from "vitest";
import { CoordinatorRules, KnownRun } from "../src/coordinator-rules.ts";

const welcome: MessageOf<ToWorker, "welcome"> = {
  type: "welcome",
  protocol: protocolVersion,
  run: "r",
  generation: 1,
  worker: "w1",
  seed: 0,
  parameterFloats: 16,
  updatedFloats: 16,
  sumsFloats: 16,
  averageFloats: 0,
  chunkFloats: 16,
  inlineBytes: 1_024,
  programs: 1,
  heartbeatMs: 1_000,
  silenceMs: 5_000,
};

const program: MessageOf<ToWorker, "program"> = {
  type: "program",
  id: "ab",
  payloadBytes: 10,
  manifest: {
    mode: "train",
    samples: 3,
    columns: [{ name: "x", dtype: "float32", shape: [3, 5] }],
    parameters: [],
    randoms: [],
    sums: [],
    sumsFloats: 16,
    scalars: { name: "s", length: 2 },
    collects: [],
  },
};

/** A worker that has the data set "train" for itself, welcomed and with a program of 3 samples, 60 bytes of rows. */
function welcomed(): CoordinatorRules {
  const rules = new CoordinatorRules(new KnownRun());
  const identity = { host: "h", pid: 1, lanes: 1, engine: "e", node: "n", instance: "i" };
  const data = [{ name: "train", fingerprint: "00" }];
  rules.sent({ type: "hello", protocol: protocolVersion, ...identity, data });
  rules.received(welcome);
  rules.received(program);
  return rules;
}

const batch = (payloadBytes: number, dataset?: string): MessageOf<ToWorker, "batch"> => ({
  ...{ type: "batch", generation: 1, round: 1, shard: 0, program: "ab", firstPosition: 0, payloadBytes },
  ...(dataset === undefined ? {} : { dataset }),
});

test("takes rows of exactly a program's size, and numbers of exactly its samples", () => {
  const rules = welcomed();
  rules.received(batch(60));
  rules.received(batch(12, "train"));
  expect(() => rules.received(batch(12))).toThrow("12 bytes of rows, its program takes 60");
  expect(() => rules.received(batch(60, "train"))).toThrow("60 bytes of rows, its program takes 12");
});

test("takes numbers of data sets only that the worker has said it has", () => {
  expect(() => welcomed().received(batch(12, "validation"))).toThrow(
    'rows of "validation", which this worker does not have',
  );
  expect(() => welcomed().received(batch(12, "../train"))).toThrow("which this worker does not have");
});

test("refuses changes of samples that reach beyond them", () => {
  const rules = new CoordinatorRules(new KnownRun());
  rules.sent({
    type: "hello",
    protocol: protocolVersion,
    host: "h",
    pid: 1,
    lanes: 1,
    engine: "e",
    node: "n",
    instance: "i",
  });
  rules.received(welcome);
  const augmented = (axis: number): typeof program => ({
    ...program,
    manifest: {
      ...program.manifest,
      augmentation: {
        stepsPerEpoch: 1,
        batchSize: 3,
        columns: [{ column: "x", changes: [{ kind: "flip", axis, probability: 1 }] }],
      },
    },
  });
  expect(() => rules.received(augmented(1))).toThrow(
    "column x cannot be changed so: there is no axis 1 in a sample of shape [5]",
  );
  rules.received(augmented(0));
});
