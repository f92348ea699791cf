import { hostname } from "node:os";
import type { Argv } from "yargs";
import { hostNames, oneText, wholeNumber } from "../option-values.ts";
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
        .option("hosts", {
          coerce: hostNames,
          requiresArg: true,
          describe: "Also start a worker on each of these machines over SSH: gpu1,me@10.0.0.3",
        })
        .option("remote-command", {
          coerce: oneText("remote-command"),
          requiresArg: true,
          default: "npx tutti",
          defaultDescription: "npx tutti",
          describe: "What runs tutti on the hosts, such as 'cd app && npx tutti'",
        })
        .option("lanes", {
          coerce: wholeNumber("lanes", 1, 1024),
          requiresArg: true,
          default: "1",
          defaultDescription: "1",
          describe: "Computing threads of each worker that --hosts starts",
        })
        .option("advertise", {
          coerce: oneText("advertise"),
          requiresArg: true,
          describe: "Name or address by which the hosts reach this machine; that of --host by default",
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
        )
        .example("$0 coordinator run.ts --host 0.0.0.0 --hosts gpu1,gpu2 --lanes 4", "start a worker on two machines"),
    async (args) => {
      if (args.printConfig) {
        const { printConfig } = await import("../print-config.ts");
        return printConfig(args, output);
      }
      const { trainWithRemoteWorkers } = await import("../train-run.ts");
      const { newToken, readTls, readToken } = await import("../secrets.ts");
      const { host = "127.0.0.1", port = 7070, minWorkers = 1 } = args;
      const given = await readToken(args.tokenFile);
      // Workers that are started from here learn whatever token there is.
      const token = given ?? (args.hosts === undefined ? undefined : newToken());
      const listen = { host, port, token, tls: readTls(args.tlsCert, args.tlsKey) };
      const hosts = args.hosts && {
        names: args.hosts,
        command: args.remoteCommand ?? "npx tutti",
        lanes: args.lanes ?? 1,
        ...reachableAddress(host, args.advertise),
      };
      await trainWithRemoteWorkers(args, { listen, minWorkers, ...(hosts && { hosts }) }, output);
    },
  );
}

/** Where other machines find this one: nobody can connect to "all addresses". */
function reachableAddress(host: string, advertised: string | undefined): { readonly address?: string } {
  if (advertised !== undefined) return { address: advertised };
  return host === "0.0.0.0" || host === "::" ? { address: hostname() } : {};
}
