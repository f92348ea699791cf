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
        .option("tunnel", {
          type: "boolean",
          default: false,
          describe: "Workers of --hosts come through SSH: nothing else need be reachable here",
        })
        .option("data", {
          type: "string",
          array: true,
          nargs: 1,
          default: [] as string[],
          defaultDescription: "none",
          describe:
            "File on the hosts that their workers read for themselves: train=/data/train.safetensors; repeatable",
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
        .option("tls-ca", {
          coerce: oneText("tls-ca"),
          requiresArg: true,
          describe: "Certificates (PEM file) that workers of --hosts trust; by default a self-signed --tls-cert",
        })
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
      const { remoteHosts } = await import("../remote-hosts.ts");
      const { host = "127.0.0.1", port = 7070, minWorkers = 1 } = args;
      const tls = readTls(args.tlsCert, args.tlsKey);
      const hosts = remoteHosts({ ...args, host, tls });
      const given = await readToken(args.tokenFile);
      // Workers that are started from here learn whatever token there is.
      const token = given ?? (hosts === undefined ? undefined : newToken());
      const listen = { host, port, token, tls };
      await trainWithRemoteWorkers(args, { listen, minWorkers, ...(hosts && { hosts }) }, output);
    },
  );
}
