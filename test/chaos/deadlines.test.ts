import { readFileSync } from "node:fs";
import { join } from "node:path";
import { defaultLimits, defaultMembership } from "@tutti/coordinator";
import { farewellMs } from "@tutti/core/wire";
import { connectMs, defaultRetryMs, drainMs, openingMs } from "@tutti/worker";
import { expect, test } from "vitest";
import { leaseDeadlines } from "../../packages/coordinator/src/coordinator-options.ts";
import { linkMs } from "../../packages/coordinator/src/mesh.ts";
import { closeGraceMs } from "../../packages/coordinator/src/server.ts";
import { endGraceMs } from "../../packages/tutti/src/local-workers.ts";
import { handshakeMs } from "../../packages/worker/src/mesh/peer-links.ts";
import { root } from "../system/tutti-process.ts";

const seconds = (ms: number): string => `${ms / 1000} s`;

test("docs/reliability.md lists every deadline with the default that the code has", () => {
  const page = readFileSync(join(root, "docs/reliability.md"), "utf8");
  const [, table = ""] = /## Deadlines\n\n\|.*\n\|.*\n((?:\|.*\n)+)/.exec(page) ?? [];
  const listed = table
    .trim()
    .split("\n")
    .map((row) => row.split(" | ")[1]);
  const { heartbeatMs, silenceMs, loadingSilenceMs, helloMs, loadingMs, maxBufferedBytes } = defaultMembership;
  expect(defaultLimits.loopback.handshakeMs).toBe(defaultLimits.network.handshakeMs);
  expect(table).toContain(`(they come every ${heartbeatMs} ms)`);
  expect(listed).toEqual([
    seconds(defaultLimits.network.handshakeMs),
    seconds(helloMs),
    seconds(loadingMs),
    seconds(loadingSilenceMs),
    seconds(silenceMs),
    `${seconds(leaseDeadlines.lateMs)}, or 8 times the 95th percentile if that is more`,
    `that and ${seconds(leaseDeadlines.graceMs)}`,
    `${maxBufferedBytes / 2 ** 30} GiB waiting`,
    seconds(linkMs),
    seconds(handshakeMs),
    seconds(connectMs.timeoutMs),
    seconds(connectMs.firstMessageMs),
    seconds(silenceMs),
    `${seconds(defaultRetryMs)} (\`--retry\`)`,
    `${seconds(openingMs)}, ${seconds(drainMs)} once it is told to leave`,
    seconds(drainMs),
    seconds(connectMs.afterGoodbyeMs),
    seconds(farewellMs.close),
    seconds(farewellMs.cut),
    seconds(endGraceMs),
    seconds(closeGraceMs),
  ]);
});
