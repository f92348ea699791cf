import { data, defineRun, nn, optim, train } from "tutti";
import { expect, test } from "vitest";

/** Enough parameters for updates that threads share, from the ninth step on: 512·600 + 600·2 of weights alone. */
const model = nn.sequential({ fc1: nn.linear(512, 600), act: nn.relu(), fc2: nn.linear(600, 2) });
const rows = 32;
const values = Array.from({ length: rows * 512 }, (_, i) => ((i * 2654435761) % 1013) / 1013 - 0.5);

const definition = (clipNorm: number | null) =>
  defineRun({
    data: {
      train: data.arrays({
        x: { dtype: "float32", shape: [512], values },
        y: Uint8Array.from({ length: rows }, (_, i) => i % 2),
      }),
    },
    model,
    step: ({ x, y }) => ({ loss: nn.crossEntropy(model(x!), y!) }),
    optimizer: optim.adamW({ clipNorm, ema: { decay: 0.9 } }),
    batchSize: 16,
    steps: 60,
    shards: 2,
    seed: 5,
  });

test.each([null, 0.01])(
  "three lanes, with threads that help to apply updates, give the weights and norms of one, clipNorm %s",
  async (clipNorm) => {
    const norms = { 1: [] as number[], 3: [] as number[] };
    const hashes = [];
    for (const lanes of [1, 3] as const) {
      const onEvent = (event: { gradientNorm: number }): void => void norms[lanes].push(event.gradientNorm);
      const { done } = await train(definition(clipNorm), { lanes, observers: [{ step: onEvent }] });
      hashes.push(done.weightsSha256);
    }
    expect(hashes[1]).toBe(hashes[0]);
    expect(norms[1]).toHaveLength(60);
    expect(norms[3]).toEqual(norms[1]);
  },
);
