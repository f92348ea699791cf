import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import sharp from "sharp";
import { data } from "tutti";

/** Width and height that every image is scaled to. */
const size = 28;

/** The images of a folder that has one folder a class, in grey; every fifth is for validation. */
export function images(folder: string, classes: readonly string[], part: "train" | "validation") {
  const root = fileURLToPath(new URL(folder, import.meta.url));
  async function* rows() {
    for (const [label, name] of classes.entries()) {
      const files = readdirSync(`${root}/${name}`).toSorted();
      for (const [index, file] of files.entries()) {
        if ((index % 5 === 4) !== (part === "validation")) continue;
        const image = await sharp(`${root}/${name}/${file}`).resize(size, size).toColourspace("b-w").raw().toBuffer();
        yield { image: new Uint8Array(image), label };
      }
    }
  }
  return data.from(rows, { columns: { image: { dtype: "uint8", shape: [size, size] }, label: "uint8" } });
}
