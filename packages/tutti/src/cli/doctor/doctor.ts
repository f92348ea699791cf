import { availableParallelism, cpus, freemem, release, totalmem } from "node:os";
import { engineInfo } from "@tutti/core/engine";
import { ownVersion } from "../../own-package.ts";
import { byteSize, table } from "../format.ts";
import type { Output } from "../output.ts";
import { measureLoopback } from "./loopback.ts";
import { referenceClass } from "./reference-class.ts";

/** `tutti doctor`: facts of this machine, as far as it goes. Throws what does not work, after what was found before. */
export async function examine({ json }: { json: boolean }, output: Output): Promise<void> {
  const machine = {
    tutti: ownVersion(),
    node: process.version,
    system: `${process.platform} ${release()} ${process.arch}`,
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    freeMemoryBytes: freemem(),
  };
  const say = (rows: readonly (readonly [string, string])[]): void => {
    if (!json) for (const line of table(rows.map(([name, fact]) => [name.padEnd(15), fact]))) output.line(line);
  };
  const { tutti, node, system, cpu, cores, memoryBytes, freeMemoryBytes } = machine;
  say([
    ["tutti", tutti],
    ["node", node],
    ["system", system],
    ["cpu", `${cpu}, ${cores} cores usable`],
    ["memory", `${byteSize(memoryBytes)}, ${byteSize(freeMemoryBytes)} free`],
  ]);
  const engine = await engineInfo();
  say([
    [
      "engine",
      `${engine.name} ${engine.version}, ${engine.zeroCopy ? "shares memory with lanes (zero-copy)" : "copies parameters into each lane (this Node refuses shared memory)"}`,
    ],
    ...(engine.reason === undefined ? [] : [["", `WebAssembly, slower than native: ${engine.reason}`] as const]),
  ]);
  const numericClass = await referenceClass();
  say([["numeric class", numericClass]]);
  const loopback = await measureLoopback();
  say([
    [
      "loopback",
      `${byteSize(loopback.bytesPerSecond)}/s, ${loopback.roundTripMs.toFixed(2)} ms there and back (both ends in one thread)`,
    ],
  ]);
  if (json)
    output.json({
      type: "doctor",
      ...machine,
      engine: {
        name: engine.name,
        version: engine.version,
        zeroCopy: engine.zeroCopy,
        ...(engine.reason === undefined ? {} : { reason: engine.reason }),
      },
      numericClass,
      loopback,
    });
}
