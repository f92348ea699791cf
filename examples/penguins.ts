// Tabular classification: the species of 344 penguins of the Palmer Archipelago from four measurements, island and sex, with
// missing cells, categories and normalisation; a fifth of them is for validation. The file is the palmerpenguins data set (K. B.
// Gorman, T. D. Williams and W. R. Fraser 2014; A. M. Horst, A. P. Hill and K. B. Gorman 2020), CC0 1.0.
// Reached: 69 of 69 penguins of the validation part, in 2 seconds. For comparison: one guess for all is right for 30.
import { data, defineRun, metrics, nn, optim } from "tutti";

const species = ["Adelie", "Chinstrap", "Gentoo"] as const;
const islands = ["Biscoe", "Dream", "Torgersen"] as const;
const sexes = ["female", "male", "unknown"] as const;

const penguins = data.csv("penguins.csv", {
  missingText: ["", "."],
  columns: {
    species: { dtype: "category", categories: species },
    island: { dtype: "category", categories: islands },
    sex: { dtype: "category", categories: sexes, missing: "unknown" },
    measured: {
      dtype: "float32",
      from: ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"],
      missing: "mean",
      normalize: "standard",
    },
  },
});

const model = {
  island: nn.embedding(islands.length, 2),
  sex: nn.embedding(sexes.length, 2),
  head: nn.sequential([nn.linear(8, 16), nn.relu(), nn.linear(16, species.length)]),
};

export default defineRun({
  data: data.split(penguins, { fraction: 0.2, seed: 1 }),
  model,
  step({ measured, island, sex, species }) {
    // `measured` is normalised in the graph: model.onnx takes millimetres and grams, and NaN for what is not known.
    const logits = model.head(measured.concat([model.island(island), model.sex(sex)], 1));
    return {
      loss: nn.crossEntropy(logits, species),
      outputs: { logits, probabilities: logits.softmax(1) },
      metrics: { accuracy: metrics.accuracy(logits, species) },
    };
  },
  optimizer: optim.adamW({ lr: 1e-2 }),
  batchSize: 32,
  shards: 4,
  epochs: 30,
  seed: 1,
  validation: { everyEpochs: 10 },
});
