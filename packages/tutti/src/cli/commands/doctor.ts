import type { Argv } from "yargs";
import type { Output } from "../output.ts";

export function doctorCommand(cli: Argv<{ json: boolean }>, output: Output): void {
  cli.command(
    "doctor",
    "Check this machine: what to paste into a bug report",
    (command) => command.example("$0 doctor", "versions, engine, numeric class, cores, loopback throughput"),
    async (args) => {
      const { examine } = await import("../doctor/doctor.ts");
      await examine(args, output);
    },
  );
}
