import { permutation, randomStream } from "@tutti/core/random";
import { augment, data, defineRun, nn, optim, train } from "tutti";
import { expect, test } from "vitest";

const [rows, channels, height, width] = [24, 2, 5, 4];
const values = channels * height * width;
const [seed, batchSize, padding, std] = [7, 10, 2, 3.5];
const images = Uint8Array.from({ length: rows * values }, (_, i) => (i * 89 + 13) % 256);
const labels = Uint8Array.from({ length: rows }, (_, row) => row % 3);
const model = nn.linear(values, 3);
const changes = [augment.flip({ axis: 2 }), augment.crop({ axes: [1, 2], padding }), augment.noise({ std })];

type Options = Partial<Pick<Parameters<typeof defineRun>[0], "epochs" | "augment" | "shards" | "lastBatch">>;

function digits(pixels: Uint8Array, options: Options = {}) {
  const source = (image: Uint8Array) =>
    data.arrays({ image: { dtype: "uint8", shape: [channels, height, width], values: image }, label: labels });
  return defineRun({
    data: { train: source(pixels), validation: source(images) },
    model,
    step: ({ image, label }) => ({
      loss: nn.crossEntropy(model(image.cast("float32").div(255).flatten(1)), label),
    }),
    optimizer: optim.sgd({ lr: 0.5 }),
    batchSize,
    shards: 4,
    seed,
    ...options,
  });
}

/** The same changes by their definition: one value at a time, from the sample as it was. */
function changedByHand(epoch: number): Uint8Array {
  const result = new Uint8Array(images.length);
  const order = permutation(seed, epoch, rows);
  const stream = (place: number) => randomStream(seed, "augment", "image", place, epoch);
  const noise = new Float32Array(rows * values);
  stream(2).fillNormal(noise, 0, std);
  for (let position = 0; position < rows; position++) {
    const row = order.at(position);
    const isFlipped = stream(0).uint32At(position) < 2 ** 31;
    const shift = [0, 1].map(
      (i) => Math.floor((stream(1).uint32At(2 * position + i) / 2 ** 32) * (2 * padding + 1)) - padding,
    );
    for (let c = 0; c < channels; c++) {
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) {
          const [sourceY, movedX] = [y + shift[0]!, x + shift[1]!];
          const sourceX = isFlipped ? width - 1 - movedX : movedX;
          const isInside = sourceY >= 0 && sourceY < height && movedX >= 0 && movedX < width;
          const value = isInside ? images[row * values + (c * height + sourceY) * width + sourceX]! : 0;
          const at = (c * height + y) * width + x;
          result[row * values + at] = Math.min(255, Math.max(0, Math.round(value + noise[position * values + at]!)));
        }
      }
    }
  }
  return result;
}

async function weights(definition: ReturnType<typeof digits>, options: Parameters<typeof train>[1] = {}) {
  const { done, parameters } = await train(definition, options);
  return { sha256: done.weightsSha256, validation: done.validation, bias: [...parameters.get("bias")!] };
}

test("trains on what the definition of the changes gives, bit for bit", async () => {
  const byHand = changedByHand(0);
  expect(byHand).not.toEqual(images);
  const expected = await weights(digits(byHand));
  expect(await weights(digits(images, { augment: { image: changes } }))).toEqual(expected);
  // However the batch is dealt: on two lanes, and on processes that read the rows for themselves.
  expect(await weights(digits(images, { augment: { image: changes } }), { lanes: 2 })).toEqual(expected);
});

test("changes samples otherwise in every epoch, and never for validation", async () => {
  const once = await weights(digits(images, { augment: { image: changes }, epochs: 2, lastBatch: "drop" }));
  const fixed = await weights(digits(changedByHand(0), { epochs: 2, lastBatch: "drop" }));
  expect(once.sha256).not.toBe(fixed.sha256);
  const frozen = { ...digits(images, { augment: { image: changes } }) };
  const events: unknown[] = [];
  for await (const event of train(frozen)) if (event.type === "validation") events.push(event.loss);
  const plain: unknown[] = [];
  for await (const event of train(digits(changedByHand(0)))) if (event.type === "validation") plain.push(event.loss);
  expect(events).toEqual(plain); // the same weights, and the same images as they are
});

test("adds noise to float columns, rounded once", async () => {
  const floats = (x: Float32Array, options: Options = {}) =>
    defineRun({
      data: { train: data.arrays({ x: { dtype: "float32", shape: [2], values: x }, y: labels }) },
      model: head,
      step: ({ x, y }) => ({ loss: nn.crossEntropy(head(x), y) }),
      optimizer: optim.sgd({ lr: 0.1 }),
      batchSize: "all",
      shards: 3,
      seed,
      ...options,
    });
  const head = nn.linear(2, 3);
  const x = Float32Array.from({ length: 2 * rows }, (_, i) => i / 8 - 3);
  const noise = new Float32Array(2 * rows);
  randomStream(seed, "augment", "x", 0, 0).fillNormal(noise, 0, 0.25);
  const order = permutation(seed, 0, rows);
  const moved = Float32Array.from(x);
  for (let position = 0; position < rows; position++) {
    for (const i of [0, 1])
      moved[2 * order.at(position) + i] = Math.fround(x[2 * order.at(position) + i]! + noise[2 * position + i]!);
  }
  const expected = await weights(floats(moved));
  expect((await weights(floats(x, { augment: { x: [augment.noise({ std: 0.25 })] } }))).sha256).toBe(expected.sha256);
});

test("refuses changes that do not fit the column", async () => {
  const refused = async (wanted: Options["augment"]) =>
    weights(digits(images, { augment: wanted! })).then(
      () => "accepted",
      (error: Error) => error.message,
    );
  expect(await refused({ image: [augment.flip({ axis: 3 })] })).toBe(
    "augment.image.0: there is no axis 3 in a sample of shape [2, 5, 4]",
  );
  expect(await refused({ image: [augment.crop({ axes: [1, 2], padding: 4 })] })).toBe(
    "augment.image.0: axis 2 has 4 values, which are not more than the padding of 4",
  );
  expect(await refused({ label: [augment.noise({ std: 1 })] })).toBe(
    "augment.label: the step function uses it as an index: noise is not for it",
  );
  expect(await refused({ picture: [augment.flip({ axis: 0 })] })).toMatch(/^augment\.picture: no such column/);
  expect(() => augment.flip({ axis: -1 })).toThrow(
    'augment.flip: expected an axis from 0 on, found {"kind":"flip","axis":-1',
  );
  expect(() => augment.noise({ std: 0 })).toThrow("augment.noise: expected a positive std");
  expect(() => digits(images, { augment: { image: [{ kind: "turn" } as never] } })).toThrow(
    'augment.image.0: expected augment.flip, augment.crop or augment.noise, found {"kind":"turn"}',
  );
});
