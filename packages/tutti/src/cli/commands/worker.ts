import type { Argv } from "yargs";
import { oneText, wholeNumber } from "../option-values.ts";
import type { Output } from "../output.ts";

export function workerCommand(cli: Argv<{ json: boolean }>, output: Output): void {
  cli.command(
    "worker <url>",
    "Compute for a coordinator; needs no run file and no data",
    (command) =>
      command
        .positional("url", {
          type: "string",
          demandOption: true,
          describe: "ws://HOST:PORT or wss://HOST:PORT of the coordinator",
        })
        .option("lanes", {
          coerce: wholeNumber("lanes", 1, 1024),
          requiresArg: true,
          default: "1",
          defaultDescription: "1",
          describe: "Computing threads",
        })
        .option("retry", {
          coerce: wholeNumber("retry", 0, 1_000_000),
          requiresArg: true,
          default: "30",
          defaultDescription: "30",
          describe: "Seconds to keep trying to reach the coordinator",
        })
        .option("peer-host", {
          coerce: oneText("peer-host"),
          requiresArg: true,
          default: "127.0.0.1",
          defaultDescription: "127.0.0.1",
          describe: "Address to listen on for other workers, if the run exchanges directly (--exchange mesh)",
        })
        .option("peer-port", {
          coerce: wholeNumber("peer-port", 0, 65_535),
          requiresArg: true,
          default: "0",
          defaultDescription: "0",
          describe: "Port for them; 0 takes a free one",
        })
        .option("token-file", {
          coerce: oneText("token-file"),
          requiresArg: true,
          describe: "File with the coordinator's secret, readable by you alone; - reads stdin; or set TUTTI_TOKEN",
        })
        .option("tls-ca", {
          coerce: oneText("tls-ca"),
          requiresArg: true,
          describe: "Certificates (PEM file) to trust for wss:// instead of the system's; - reads stdin",
        })
        .option("data", {
          type: "string",
          array: true,
          nargs: 1,
          default: [] as string[],
          defaultDescription: "none",
          describe: "A data set to read for itself where the run says so: train=train.safetensors; repeatable",
        })
        .option("data-memory", {
          coerce: wholeNumber("data-memory", 0),
          requiresArg: true,
          describe: "MiB for the columns of each of these, 256 by default; the rest is read from the files",
        })
        .example("TUTTI_TOKEN=… $0 worker ws://192.168.1.10:7070 --lanes 2", "join a run on another machine"),
    async (args) => {
      const { work } = await import("../work.ts");
      const { readTrust } = await import("../secrets.ts");
      const { url, lanes = 1, retry = 30, json, tokenFile, tlsCa, data, dataMemory, peerHost, peerPort } = args;
      const { token, ca } = await readTrust(tokenFile, tlsCa);
      const dataMemoryBytes = dataMemory === undefined ? undefined : dataMemory * 2 ** 20;
      const how = { lanes, retryForMs: retry * 1000, json, token, ca, data, dataMemoryBytes, peerHost, peerPort };
      await work({ url, ...how }, output);
    },
  );
}
