import { bytesPerSample, type Dataset } from "@tutti/core/data";

/** Reads rows of every column into fresh byte arrays. */
export async function readRows(dataset: Dataset, rows: readonly number[]): Promise<Record<string, Uint8Array>> {
  const target = Object.fromEntries(
    Object.entries(dataset.columns).map(([name, type]) => [name, new Uint8Array(rows.length * bytesPerSample(type))]),
  );
  await dataset.read(rows, target);
  return target;
}

export async function readAll(dataset: Dataset): Promise<Record<string, Uint8Array>> {
  return readRows(
    dataset,
    Array.from({ length: dataset.size }, (_, row) => row),
  );
}

/** What a promise was rejected with; fails when it was not. */
export async function rejection(promise: Promise<unknown>): Promise<{ code: string; message: string }> {
  const outcome = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!(outcome instanceof Error) || !("code" in outcome))
    throw new Error(`expected a TuttiError, got ${String(outcome)}`);
  return { code: String(outcome.code), message: outcome.message };
}
