import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type RandomStream, randomStream } from "@tutti/core/random";
import { encodePng } from "./png.ts";

export const shapeNames = ["circle", "square", "triangle"] as const;
export type Shape = (typeof shapeNames)[number];

const size = 28;

/** Whether a point is in the shape of radius 1 around (0, 0). */
const contains: Readonly<Record<Shape, (x: number, y: number) => boolean>> = {
  circle: (x, y) => x * x + y * y <= 1,
  square: (x, y) => Math.max(Math.abs(x), Math.abs(y)) <= 0.85,
  triangle: (x, y) => y <= 0.8 && Math.abs(x) <= (0.9 * (y + 1)) / 1.8,
};

/** Writes `count` images of every shape, 28 × 28 pixels of grey, as `folder/circle/000.png` and so on: the same in every call. */
export async function writeShapes(folder: string, count: number): Promise<void> {
  for (const shape of shapeNames) {
    await mkdir(join(folder, shape), { recursive: true });
    for (let index = 0; index < count; index++) {
      const pixels = drawShape(shape, randomStream(0, "shapes", `${shape} ${index}`));
      await writeFile(join(folder, shape, `${String(index).padStart(3, "0")}.png`), encodePng(size, size, pixels));
    }
  }
}

/** White on black, somewhere, of some size and brightness, with some noise. */
function drawShape(shape: Shape, random: RandomStream): Uint8Array {
  const uniform = new Float32Array(4 + size * size);
  random.fillUniform(uniform, 0, 1);
  const [u = 0, v = 0, w = 0, brightness = 0] = uniform;
  const radius = 5 + 6 * w;
  const [left, top] = [radius + u * (size - 2 * radius), radius + v * (size - 2 * radius)];
  return Uint8Array.from({ length: size * size }, (_, i) => {
    const [x, y] = [i % size, Math.floor(i / size)];
    const isInside = contains[shape]((x + 0.5 - left) / radius, (y + 0.5 - top) / radius);
    const noise = uniform[4 + i]! * 60;
    return isInside ? 120 + 75 * brightness + noise : noise;
  });
}
