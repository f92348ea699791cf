import { runCli } from "./cli.ts";
import { Output } from "./output.ts";

/** Runs the command of this process and ends it. */
export async function main(): Promise<never> {
  const output = new Output(process.stdout, process.stderr);
  const status = await runCli(process.argv.slice(2), output);
  await output.flush();
  process.exit(status);
}
