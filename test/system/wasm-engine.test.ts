import { join } from "node:path";
import { expect, test } from "vitest";
import { jsonLines, tutti } from "../cli/command.ts";
import { resultOf, TuttiProcess, temporaryFolder } from "./tutti-process.ts";

const wasm = { TUTTI_ENGINE: "wasm" };

test("WebAssembly gives the same bits on 0, 1 and 2 workers, other ones than the native engine, and is told", async () => {
  const results = [];
  for (const workers of ["0", "1", "2"]) {
    const out = join(temporaryFolder(), "run");
    const run = new TuttiProcess(
      ["train", "test/fixtures/few-digits.ts", "--set", "steps=8", "--workers", workers, "--out", out, "--json"],
      { env: wasm },
    );
    expect(await run.end(), run.stderr).toBe(0);
    const { message } = await run.event("notice", (notice) => notice.message.includes("WebAssembly"));
    expect(message).toContain("TUTTI_ENGINE=wasm");
    results.push(resultOf(run.events));
  }
  const [inProcess, ...others] = results;
  for (const other of others) expect(other).toEqual(inProcess);

  const native = await tutti([
    ...["train", "test/fixtures/few-digits.ts", "--set", "steps=8", "--workers", "0", "--json"],
    ...["--out", join(temporaryFolder(), "run")],
  ]);
  const lossesOf = (steps: readonly string[]): readonly number[] => steps.map((step) => Number(step.split(" ")[1]));
  const nativeLosses = jsonLines(native.stdout).flatMap(({ type, loss }) => (type === "step" ? [Number(loss)] : []));
  const wasmLosses = lossesOf(inProcess!.steps);
  expect(wasmLosses).toHaveLength(nativeLosses.length);
  for (const [step, loss] of wasmLosses.entries()) expect(loss / nativeLosses[step]!).toBeCloseTo(1, 4);
});

test("a worker on WebAssembly is refused by a run that began natively: their bits are never mixed", async () => {
  const out = join(temporaryFolder(), "run");
  const run = new TuttiProcess([
    ...["coordinator", "test/fixtures/few-digits.ts", "--set", "epochs=1000"],
    ...["--port", "0", "--out", out, "--json"],
  ]);
  const { message } = await run.event("notice", (notice) => notice.message.startsWith("listening"));
  const url = /ws:\/\/\S+/.exec(message)![0];
  const native = tutti(["worker", url]);
  await run.event("step");
  const other = await tutti(["worker", url], { env: wasm });
  expect(other.stderr).toContain("computing with onnxruntime-web's WebAssembly");
  expect(other.stderr).toContain("error[NUMERIC_CLASS]");
  expect(other.status).toBe(1);
  run.child.kill("SIGINT");
  expect(await run.end()).toBe(0);
  await native;
});
