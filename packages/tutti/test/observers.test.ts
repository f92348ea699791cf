import { data, defineRun, nn, optim, type RunEvent, train } from "tutti";
import { expect, test } from "vitest";

const model = nn.linear(1, 1);

/** Six steps of linear regression on four rows. @param y with NaN, the run fails at its first step. */
function definition(y = Float32Array.of(1, 3, 5, 7)) {
  return defineRun({
    data: { train: data.arrays({ x: { dtype: "float32", shape: [1], values: Float32Array.of(0, 1, 2, 3) }, y }) },
    model,
    step: ({ x, y: target }) => ({ loss: nn.mse(model(x).squeeze(1), target) }),
    optimizer: optim.sgd({ lr: 0.05 }),
    batchSize: 2,
    epochs: 3,
  });
}

test("an observer is called with the events of its types, in the order that an iteration sees", async () => {
  const seen: RunEvent[] = [];
  const observer = {
    run: (event: RunEvent) => void seen.push(event),
    step: (event: RunEvent) => void seen.push(event),
    done: (event: RunEvent) => void seen.push(event),
  };
  const iterated: RunEvent[] = [];
  for await (const event of train(definition(), { observers: [observer] })) iterated.push(event);
  expect(seen).toEqual(iterated.filter(({ type }) => ["run", "step", "done"].includes(type)));
  expect(seen.map(({ type }) => type)).toEqual(["run", ...Array(6).fill("step"), "done"]);
});

test("observers that throw or reject change no bit, are told of once, and are not called again", async () => {
  const { done: undisturbed } = await train(definition());
  let thrown = 0;
  let rejected = 0;
  const notices: string[] = [];
  const { done } = await train(definition(), {
    observers: [
      {
        step: () => {
          thrown++;
          throw new Error("no more");
        },
      },
      {
        step: async () => {
          rejected++;
          await Promise.reject(new Error("cannot"));
        },
        validation: () => expect.unreachable(),
      },
      { notice: ({ message }) => void notices.push(message) },
    ],
  });
  expect(done.weightsSha256).toBe(undisturbed.weightsSha256);
  expect(thrown).toBe(1);
  expect(rejected).toBeLessThanOrEqual(6);
  expect(notices.toSorted()).toEqual([
    "a callback for step events failed and is not called again: cannot",
    "a callback for step events failed and is not called again: no more",
  ]);
});

test("a run resolves after all that its observers began", async () => {
  let isWritten = false;
  const done = async (): Promise<void> => {
    await new Promise(setImmediate);
    isWritten = true;
  };
  await train(definition(), { observers: [{ done }] });
  expect(isWritten).toBe(true);
});

test("an observer hears of a run's failure last", async () => {
  const types: string[] = [];
  const note = ({ type }: RunEvent) => void types.push(type);
  const failing = train(definition(Float32Array.of(1, 3, Number.NaN, 7)), {
    observers: [{ step: note, done: note, error: note }],
  });
  await expect(failing).rejects.toMatchObject({ code: "NON_FINITE" });
  expect(types.at(-1)).toBe("error");
  expect(types).not.toContain("done");
});

test("an AbortSignal ends a run after the step under way", async () => {
  const abort = new AbortController();
  const steps: number[] = [];
  const { done } = await train(definition(), {
    signal: abort.signal,
    observers: [
      {
        step: ({ step }) => {
          steps.push(step);
          if (step === 2) abort.abort();
        },
      },
    ],
  });
  expect(done).toMatchObject({ outcome: "stopped", steps: steps.length });
  expect(steps.length).toBeLessThan(6);
});
