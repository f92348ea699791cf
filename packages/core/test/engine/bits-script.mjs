// Run by node-versions.test.ts under other versions of Node, against the built package: computes a step that the test
// wrote to a file, with and without zero-copy, and prints what came out.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { engineInfo, inlineLane, openLanes } from "../../dist/engine/index.js";
import { Arena } from "../../dist/memory/index.js";

const { programs, parameters, columns } = JSON.parse(readFileSync(process.argv[2], "utf8"));
const arena = new Arena();

function place(base64) {
  const bytes = Buffer.from(base64, "base64");
  const address = arena.allocate(bytes.length);
  arena.bytes(address, bytes.length).set(bytes);
  return address;
}

const loaded = programs.map((program) => ({ ...program, onnx: new Uint8Array(Buffer.from(program.onnx, "base64")) }));
const parameterAddress = place(parameters);
const shards = new Map(columns.map((bytes, shard) => [shard, { programId: loaded[shard].id, columns: place(bytes) }]));

async function bits(lanes) {
  for (const program of loaded) await lanes.load(program);
  const task = { node: { lo: 0, hi: shards.size }, shards, parameters: parameterAddress, generation: 1 };
  const { sums, scalars } = await lanes.compute(task);
  const hash = createHash("sha256")
    .update(arena.bytes(sums, 4 * loaded[0].sumsFloats))
    .update(scalars);
  await lanes.close();
  return hash.digest("hex");
}

const { node, zeroCopy } = await engineInfo();
const hashes = {
  inline: await bits(await inlineLane({ arena })),
  lanes: await bits(await openLanes({ arena, count: 2 })),
  copying: await bits(await openLanes({ arena, count: 2, zeroCopy: false })),
};
console.log(JSON.stringify({ node, zeroCopy, hashes }));
// No process.exit: if a thread were left, this process would not end and the test would time out.
