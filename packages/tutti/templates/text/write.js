// Prints what the trained model writes after "The ": node write.js [BYTES]
import { openModel } from "tutti";

const context = 32; // as in run.ts
const symbols = 256;
const bytes = Number(process.argv[2] ?? 300);

/** An index, by the probabilities that the logits stand for. */
function draw(logits) {
  const largest = Math.max(...logits);
  const weights = Array.from(logits, (logit) => Math.exp((logit - largest) / 0.7));
  let rest = Math.random() * weights.reduce((sum, weight) => sum + weight, 0);
  for (const [index, weight] of weights.entries()) {
    rest -= weight;
    if (rest < 0) return index;
  }
  return 0;
}

const model = await openModel("runs/run");
const written = [...Buffer.from("The ")];
while (written.length < bytes) {
  const seen = written.slice(-context);
  // A byte does not see those after it, so that it does not matter what fills the rest.
  const text = Uint8Array.from({ length: context }, (_, i) => seen[i] ?? 0);
  const { logits } = await model.predict({ text });
  written.push(draw(logits.values.subarray((seen.length - 1) * symbols, seen.length * symbols)));
}
await model.close();
console.log(Buffer.from(written).toString());
