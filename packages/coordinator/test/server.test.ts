import { once } from "node:events";
import { request } from "node:http";
import { connect, type Socket } from "node:net";
import { subprotocol } from "@tutti/core/wire";
import { expect, onTestFinished, test } from "vitest";
import { networkOf } from "../src/connection-guard.ts";
import { type ServerOptions, serve } from "../src/server.ts";
import { checkToken } from "../src/token.ts";

const token = "6f1d0a3b9c8e7d2f4a5b6c7d8e9f0a1b";

async function server(options: Partial<ServerOptions> = {}) {
  const made = await serve({ host: "127.0.0.1", port: 0, accept: () => {}, ...options });
  onTestFinished(() => made.close(0));
  return made;
}

function open(port: number): Socket {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => {});
  onTestFinished(() => {
    socket.destroy();
  });
  return socket;
}

/** The status of an upgrade request; 0 when it was cut. */
function upgrade(port: number, headers: Readonly<Record<string, string>>): Promise<number> {
  return new Promise((resolve) => {
    const asked = request({
      port,
      host: "127.0.0.1",
      agent: false,
      headers: {
        connection: "upgrade",
        upgrade: "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        "sec-websocket-protocol": subprotocol,
        ...headers,
      },
    });
    asked.on("error", () => resolve(0));
    asked.on("response", (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    asked.on("upgrade", (response, socket) => {
      onTestFinished(() => {
        socket.destroy();
      });
      resolve(response.statusCode ?? 0);
    });
    asked.end();
  });
}

test.each([
  ["", /has 0 characters, at least 32/],
  ["0123456789abcdef0123456789abcde", /has 31 characters, at least 32/],
  ["0123456789abcdef0123456789abcdef", /repeats its first 16/],
  ["a".repeat(64), /only 1 different/],
  ["correct horse battery staple and so on", /other than those of hex and base64/],
  ["secret\nX-Injected: yes, and long enough", /other than those of hex and base64/],
  ["x".repeat(513), /at most 512/],
])("refuses the token %j, without printing it", (weak, reason) => {
  const refusal = (() => {
    try {
      checkToken(weak);
      return "";
    } catch (error) {
      return String(error);
    }
  })();
  expect(refusal).toMatch(reason);
  if (weak.length > 0) expect(refusal).not.toContain(weak);
});

test.each([token, "kJ3n_9sX-2bQ7wLz0VtR5yHc8MfGdA1e", `${token}==`])("takes the token %j", (strong) => {
  expect(() => checkToken(strong)).not.toThrow();
});

test("takes ten thousand random tokens", async () => {
  const { randomBytes } = await import("node:crypto");
  for (let i = 0; i < 5000; i++) {
    checkToken(randomBytes(16).toString("hex"));
    checkToken(randomBytes(24).toString("base64url"));
  }
});

test.each(["0.0.0.0", "::", "192.0.2.1", "example.org"])("does not listen on %s without a token", async (host) => {
  await expect(server({ host })).rejects.toMatchObject({ code: "BAD_OPTION", message: expect.stringContaining(host) });
});

test("lets in who bears the token, and nobody else", async () => {
  const { port } = await server({ host: "0.0.0.0", token });
  expect(await upgrade(port, { authorization: `Bearer ${token}` })).toBe(101);
  for (const authorization of ["", token, `Bearer ${token}0`, `Bearer ${token.slice(1)}`, `bearer ${token}`])
    expect(await upgrade(port, { authorization }), authorization).toBe(401);
});

test("refuses a browser, from whatever page and also without a token", async () => {
  const { port } = await server();
  expect(await upgrade(port, {})).toBe(101);
  for (const origin of ["https://example.org", "http://localhost:3000", "null"])
    expect(await upgrade(port, { origin }), origin).toBe(403);
});

test("goes on when a refused client is gone before it can be told", async () => {
  const { port } = await server({ token });
  for (let i = 0; i < 50; i++) {
    const socket = open(port);
    await once(socket, "connect");
    socket.write(
      "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    socket.resetAndDestroy();
  }
  expect(await upgrade(port, { authorization: `Bearer ${token}` })).toBe(101);
});

test("cuts whoever has not finished the handshake in time, however busily it sends", async () => {
  const handshakeMs = 300;
  const { port } = await server({ limits: { handshakeMs } });
  const silent = open(port);
  const slow = open(port);
  const startMs = performance.now();
  slow.write("GET / HTTP/1.1\r\nHost: x\r\n");
  const drip = setInterval(() => slow.write("X-More: 1\r\n"), 20);
  const closed = (socket: Socket) =>
    new Promise((resolve) => {
      socket.on("error", () => {}); // a reset, where something sent was still unread
      socket.resume().once("close", resolve);
    });
  await Promise.all([silent, slow].map(closed));
  clearInterval(drip);
  const tookMs = performance.now() - startMs;
  expect(tookMs).toBeGreaterThan(handshakeMs - 50);
  expect(tookMs).toBeLessThan(handshakeMs + 2000);
});

test("keeps a connection whose handshake is over", async () => {
  const { port } = await server({ limits: { handshakeMs: 200 } });
  let socket: Socket | undefined;
  await new Promise<void>((resolve) => {
    const asked = request({
      port,
      host: "127.0.0.1",
      agent: false,
      headers: {
        connection: "upgrade",
        upgrade: "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        "sec-websocket-protocol": subprotocol,
      },
    });
    asked.on("upgrade", (_response, upgraded: Socket) => {
      socket = upgraded;
      resolve();
    });
    asked.end();
  });
  const closed = once(socket!.resume(), "close").then(() => "closed");
  const late = new Promise<string>((resolve) => setTimeout(() => resolve("open"), 600));
  expect(await Promise.race([closed, late])).toBe("open");
  socket!.destroy();
});

test("counts connections that have not shown the token apart, and gives their places back", async () => {
  const { port } = await server({
    token,
    limits: { connections: 3, unauthenticated: 2, unauthenticatedPerAddress: 2, handshakeMs: 60_000 },
  });
  const bearer = { authorization: `Bearer ${token}` };
  expect(await upgrade(port, bearer)).toBe(101);
  const waiting = [open(port), open(port)];
  await Promise.all(waiting.map((socket) => once(socket, "connect")));
  const third = open(port);
  await once(third.resume(), "close"); // no place without the token
  waiting[0]!.destroy();
  await expect.poll(() => upgrade(port, bearer)).toBe(101);
  const fourth = open(port);
  await once(fourth.resume(), "close"); // no place at all: two are in, one waits
});

test("gives each address its share", async () => {
  const { port } = await server({ limits: { connections: 100, connectionsPerAddress: 2, handshakeMs: 60_000 } });
  expect(await upgrade(port, {})).toBe(101);
  expect(await upgrade(port, {})).toBe(101);
  expect(await upgrade(port, {})).toBe(0);
});

test.each([
  ["192.0.2.7", "192.0.2.7"],
  ["::ffff:192.0.2.7", "192.0.2.7"],
  ["2001:db8:1:2:aaaa:bbbb:cccc:dddd", "2001:db8:1:2::/64"],
  ["2001:db8:1:2::5", "2001:db8:1:2::/64"],
  ["2001:db8::5", "2001:db8:0:0::/64"],
  ["::1", "0:0:0:0::/64"],
  ["fe80::1%eth0", "fe80:0:0:0::/64"],
])("counts %s as %s", (address, network) => {
  expect(networkOf(address)).toBe(network);
});

test("says which file is wrong when certificate and key do not fit", async () => {
  await expect(server({ tls: { cert: "no certificate", key: "no key" } })).rejects.toMatchObject({
    code: "BAD_OPTION",
    message: expect.stringMatching(/--tls-cert and --tls-key/),
  });
});
