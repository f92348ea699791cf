import { relative } from "node:path";
import { fileURLToPath } from "node:url";

/**
 * Where a function of the user's was when it threw: "examples/digits.ts:12:20". `caller` is the name of the function of
 * ours that called it; the frame just inside of it is the user's. Undefined when the stack does not show it.
 */
export function locationInside(error: Error, caller: string): string | undefined {
  const frames = (error.stack ?? "").split("\n").filter((line) => /^\s+at /.test(line));
  const outer = frames.findIndex((frame) => frame.includes(caller));
  const frame = outer > 0 ? frames[outer - 1]! : undefined;
  const place = frame && /\(?((?:file:\/\/)?\/[^()]+?|[A-Za-z]:\\[^()]+?):(\d+):(\d+)\)?$/.exec(frame);
  if (!place) return undefined;
  const [, file, line, column] = place;
  const path = file!.startsWith("file://") ? fileURLToPath(file!) : file!;
  return `${relative(process.cwd(), path)}:${line}:${column}`;
}
