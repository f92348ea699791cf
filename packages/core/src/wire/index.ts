export { HeaderChecksums } from "./checksum.ts";
export * from "./codec.ts";
export * from "./connection.ts";
export * from "./connection-pair.ts";
export * from "./messages.ts";
export * from "./peer-rules.ts";
export { printable } from "./printable.ts";
export { SharedFile, type SharedFileEnd, sharedFileHeader } from "./shared-file.ts";
export * from "./silence.ts";
