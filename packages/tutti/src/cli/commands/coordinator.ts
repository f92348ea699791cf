import type { Argv } from "yargs";
import { oneText, wholeNumber } from "../option-values.ts";
import type { Output } from "../output.ts";
import { withRunOptions } from "./run-options.ts";

export function coordinatorCommand(cli: Argv<{ json: boolean }>, output: Output): void {
  cli.command(
    "coordinator <run>",
    "Train with workers that connect from any machine",
    (command) =>
      withRunOptions(command)
        .option("host", {
          coerce: oneText("host"),
          requiresArg: true,
          default: "127.0.0.1",
          defaultDescription: "127.0.0.1",
          describe: "Address to listen on; others than loopback need a token",
        })
        .option("port", {
          coerce: wholeNumber("port", 0, 65_535),
          requiresArg: true,
          default: "7070",
          defaultDescription: "7070",
          describe: "Port to listen on; 0 takes a free one",
        })
        .option("min-workers", {
          coerce: wholeNumber("min-workers", 1, 1024),
          requiresArg: true,
          default: "1",
          defaultDescription: "1",
          describe: "With fewer workers the run waits and says so",
        })
        .option("token-file", {
          coerce: oneText("token-file"),
          requiresArg: true,
          describe: "File with the secret that workers must know, readable by you alone; or set TUTTI_TOKEN",
        })
        .option("tls-cert", {
          coerce: oneText("tls-cert"),
          requiresArg: true,
          describe: "Certificate (PEM file): workers then connect to wss://",
        })
        .option("tls-key", { coerce: oneText("tls-key"), requiresArg: true, describe: "Its key (PEM file)" })
        .example(
          "TUTTI_TOKEN=… $0 coordinator run.ts --host 0.0.0.0 --port 7070 --min-workers 4",
          "wait for four workers, then train",
        ),
    async (args) => {
      if (args.printConfig) {
        const { printConfig } = await import("../print-config.ts");
        return printConfig(args, output);
      }
      const { trainWithRemoteWorkers } = await import("../train-run.ts");
      const { readTls, readToken } = await import("../secrets.ts");
      const { host = "127.0.0.1", port = 7070, minWorkers = 1 } = args;
      const listen = { host, port, token: readToken(args.tokenFile), tls: readTls(args.tlsCert, args.tlsKey) };
      await trainWithRemoteWorkers(args, { listen, startWorkers: minWorkers }, output);
    },
  );
}
