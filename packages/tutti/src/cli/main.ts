// Entry of the command: whatever is loaded after the first lines comes from the cache.
import { setFlagsFromString } from "node:v8";
import { enableCompileCache } from "../compile-cache.ts";

// Keeps the space for new objects at 1 MB: left alone it grows to tens of MB of garbage, in every thread. Reading csv took as long.
setFlagsFromString("--semi-space-growth-factor=1");
enableCompileCache();
const { main } = await import("./run-main.ts");
await main();
