import { setFlagsFromString } from "node:v8";
import { runCli } from "./cli.ts";
import { Output } from "./output.ts";

// Keeps the space for new objects at 1 MB: left alone it grows to tens of MB of garbage, in every thread. Reading csv took as long.
setFlagsFromString("--semi-space-growth-factor=1");
const output = new Output(process.stdout, process.stderr);
const status = await runCli(process.argv.slice(2), output);
await output.flush();
process.exit(status);
