export { externalReader, readNamedFile } from "./named-file.ts";
