import type { IncomingMessage } from "node:http";
import type { ControlRequest } from "@tutti/core/events";
import type { Refusal } from "./request-rules.ts";

const maxBytes = 1024;

/** Reads the JSON body of an order. */
export async function readControlRequest(request: IncomingMessage): Promise<ControlRequest | Refusal> {
  const contentType = (request.headers["content-type"] ?? "").split(";", 1)[0]!.trim().toLowerCase();
  if (contentType !== "application/json") return { status: 415, reason: "expected application/json" };
  let text = "";
  for await (const chunk of request.setEncoding("utf8")) {
    text += String(chunk);
    if (text.length > maxBytes) return { status: 413, reason: `expected at most ${maxBytes} bytes` };
  }
  return (
    parsed(text) ?? {
      status: 400,
      reason: "expected an action: pause, resume, checkpoint, stop, or drain with a worker",
    }
  );
}

function parsed(text: string): ControlRequest | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null || !("action" in value)) return undefined;
  const { action } = value;
  if (action === "pause" || action === "resume" || action === "checkpoint" || action === "stop") return { action };
  if (action !== "drain" || !("worker" in value)) return undefined;
  const { worker } = value;
  return typeof worker === "string" && /^w\d{1,9}$/.test(worker) ? { action, worker } : undefined;
}
