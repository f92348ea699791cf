import { spawn } from "node:child_process";
import { once } from "node:events";
import { type IncomingHttpHeaders, request } from "node:http";
import { createServer } from "node:net";
import { hostname } from "node:os";
import { TuttiError } from "@tutti/core/errors";
import type { ControlRequest } from "@tutti/core/events";
import { expect, onTestFinished, test } from "vitest";
import { type DashboardOptions, RunHistory, serveDashboard } from "../../src/dashboard/index.ts";
import { SyntheticRun } from "./synthetic-run.ts";

const token = "6f1d0a3b9c8e7d2f4a5b6c7d8e9f0a1b";

function historyOf(workers = 2) {
  const run = new SyntheticRun(workers);
  const history = new RunHistory({ id: "run", name: "digits", live: run });
  history.event(run.started);
  for (let step = 1; step <= 20; step++) history.event(run.step(step));
  return history;
}

async function dashboard(options: Partial<DashboardOptions> = {}) {
  const orders: ControlRequest[] = [];
  const made = await serveDashboard({
    port: 0,
    runs: [historyOf()],
    control: (order) => {
      orders.push(order);
    },
    ...options,
  });
  onTestFinished(() => made.close());
  const secret = new URL(made.url).hash.slice(1);
  return { ...made, orders, secret };
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** As a client that can set any header. */
function ask(
  port: number,
  path: string,
  options: { method?: string; headers?: Record<string, string>; body?: string } = {},
): Promise<Answer> {
  const { method = "GET", headers = {}, body } = options;
  return new Promise((resolve, reject) => {
    const asked = request({ port, host: "127.0.0.1", path, method, agent: false, headers }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => {
        text += part;
      });
      response.on("end", () => resolve({ status: response.statusCode!, headers: response.headers, body: text }));
    });
    asked.on("error", reject);
    asked.end(body);
  });
}

const order = (secret: string, body: string, headers: Record<string, string> = {}) => ({
  method: "POST",
  headers: { authorization: `Bearer ${secret}`, "content-type": "application/json", ...headers },
  body,
});

test("serves the page and every address under a policy that lets it talk to nobody else", async () => {
  const { port } = await dashboard();
  const types = {
    "/": /^text\/html/,
    "/page.js": /^text\/javascript/,
    "/page.css": /^text\/css/,
    "/icon.svg": /^image\/svg/,
    "/status": /^application\/json/,
    "/metrics": /^text\/plain; version=0\.0\.4/,
    "/healthz": /^text\/plain/,
    "/nothing": /^text\/plain/,
  };
  for (const [path, type] of Object.entries(types)) {
    const { status, headers } = await ask(port, path);
    expect([path, status]).toEqual([path, path === "/nothing" ? 404 : 200]);
    expect(headers["content-type"]).toMatch(type);
    const policy = headers["content-security-policy"];
    expect(policy).toMatch(
      /^default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'/,
    );
    expect(policy).not.toMatch(/unsafe|https?:|\*/);
    expect(headers["x-content-type-options"]).toBe("nosniff");
  }
  expect(JSON.parse((await ask(port, "/status")).body)).toMatchObject({
    runs: [{ name: "digits", state: "training", step: 20, workers: [{ id: "w1" }, { id: "w2" }] }],
  });
  const { headers } = await ask(port, "/page.js");
  expect((await ask(port, "/page.js", { headers: { "if-none-match": headers.etag! } })).status).toBe(304);
});

test("opens no file that a request names", async () => {
  const { port } = await dashboard();
  for (const path of [
    "/../package.json",
    "/..%2fpackage.json",
    "/index.html",
    "/page.js/../../x",
    "//etc/passwd",
    "/%00",
  ])
    expect([path, (await ask(port, path)).status]).toEqual([path, 404]);
});

test.each(["evil.example", "evil.example:7071", "localhost.evil.example", "127.0.0.1.nip.io", "10.0.0.1"])(
  "does not answer to the name %o, which may be anybody's that points here",
  async (host) => {
    const { port, secret, orders } = await dashboard();
    for (const path of ["/", "/status", "/metrics", "/events", "/healthz"])
      expect((await ask(port, path, { headers: { host } })).status).toBe(421);
    expect((await ask(port, "/control", order(secret, '{"action":"stop"}', { host }))).status).toBe(421);
    expect(orders).toEqual([]);
  },
);

test.each(["localhost", "localhost:9000", "127.0.0.1:1", "[::1]:7071", "LOCALHOST"])(
  "answers to %s, also behind another port",
  async (host) => {
    const { port } = await dashboard();
    expect((await ask(port, "/status", { headers: { host } })).status).toBe(200);
  },
);

test("refuses pages of other origins, whatever they know", async () => {
  const { port, secret, orders } = await dashboard();
  const foreign = [
    { origin: "https://evil.example" },
    { origin: "null" },
    { origin: `http://localhost:${port + 1}` },
    { "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "script" },
    { "sec-fetch-site": "same-site", "sec-fetch-mode": "cors", "sec-fetch-dest": "empty" },
    { "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe" },
  ];
  for (const headers of foreign) {
    expect((await ask(port, "/status", { headers })).status).toBe(403);
    expect((await ask(port, "/control", order(secret, '{"action":"stop"}', headers))).status).toBe(403);
  }
  expect(orders).toEqual([]);
  const link = { "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" };
  expect((await ask(port, "/", { headers: link })).status).toBe(200); // somebody clicked a link to it
  const own = { origin: `http://127.0.0.1:${port}`, "sec-fetch-site": "same-origin" };
  expect((await ask(port, "/control", order(secret, '{"action":"pause"}', own))).status).toBe(202);
  expect(orders).toEqual([{ action: "pause" }]);
});

test("takes orders by nothing but the secret of the printed address", async () => {
  const { port, secret, orders } = await dashboard({ token });
  expect(secret).toMatch(/^[\w-]{43}$/);
  expect((await dashboard()).secret).not.toBe(secret);
  const body = '{"action":"stop"}';
  const headers = { "content-type": "application/json" };
  const refused = [
    { method: "POST", body, headers },
    { method: "POST", body, headers: { ...headers, authorization: `Bearer ${token}` } },
    { method: "POST", body, headers: { ...headers, authorization: `Bearer ${secret.slice(1)}` } },
    { method: "POST", body, headers: { ...headers, authorization: `Basic ${secret}` } },
    { method: "POST", body, headers: { ...headers, cookie: `token=${secret}` } },
  ];
  for (const asked of refused) expect((await ask(port, "/control", asked)).status).toBe(401);
  expect((await ask(port, `/control?token=${secret}`, refused[0])).status).toBe(401);
  expect((await ask(port, "/control", { headers: { authorization: `Bearer ${secret}` } })).status).toBe(405);
  expect(orders).toEqual([]);
  expect((await ask(port, "/control", order(secret, body))).status).toBe(202);
  expect(orders).toEqual([{ action: "stop" }]);
});

test("takes only orders that exist, in small JSON", async () => {
  const { port, secret, orders } = await dashboard();
  const wrong: readonly [string, number, Record<string, string>?][] = [
    ["", 400],
    ["{", 400],
    ["null", 400],
    ['["stop"]', 400],
    ['{"action":"reset"}', 400],
    ['{"action":"drain"}', 400],
    ['{"action":"drain","worker":"../w1"}', 400],
    ['{"action":"drain","worker":["w1"]}', 400],
    [JSON.stringify({ action: "stop", more: "x".repeat(2000) }), 413],
    ["action=stop", 415, { "content-type": "application/x-www-form-urlencoded" }],
    ['{"action":"stop"}', 415, { "content-type": "text/plain" }],
  ];
  for (const [body, status, headers] of wrong)
    expect([body, (await ask(port, "/control", order(secret, body, headers))).status]).toEqual([body, status]);
  expect(orders).toEqual([]);
  for (const body of ['{"action":"checkpoint"}', '{"action":"drain","worker":"w12"}'])
    expect((await ask(port, "/control", order(secret, body))).status).toBe(202);
  expect(orders).toEqual([{ action: "checkpoint" }, { action: "drain", worker: "w12" }]);
});

test("says why an order cannot be followed", async () => {
  const control = (): void => {
    throw new TuttiError("BAD_OPTION", "there is no worker w9");
  };
  const { port, secret } = await dashboard({ control });
  const { status, body } = await ask(port, "/control", order(secret, '{"action":"drain","worker":"w9"}'));
  expect([status, body]).toEqual([409, "there is no worker w9\n"]);
});

test("takes no orders for runs that are over", async () => {
  const { port, url } = await serveDashboard({ port: 0, runs: [new RunHistory({ id: "a", name: "a" })] });
  expect(new URL(url).hash).toBe("");
  expect((await ask(port, "/control", order("", '{"action":"stop"}'))).status).toBe(401);
});

test("on other addresses than loopback tells nothing without a token", async () => {
  await expect(serveDashboard({ host: "0.0.0.0", port: 0, runs: [] })).rejects.toThrow(
    /--dashboard-host 0\.0\.0\.0 .* TUTTI_TOKEN/,
  );
  await expect(serveDashboard({ host: "0.0.0.0", port: 0, runs: [], token: "short" })).rejects.toThrow(/at least 32/);
  const { port, url, secret } = await dashboard({ host: "0.0.0.0", token });
  expect(url.startsWith(`http://${hostname()}:${port}/#`)).toBe(true);
  const headers = { host: "trainer.example" };
  for (const path of ["/status", "/metrics", "/events"]) {
    const { status, headers: answered } = await ask(port, path, { headers });
    expect([path, status]).toEqual([path, 401]);
    expect(answered["www-authenticate"]).toMatch(/^Bearer/);
  }
  for (const path of ["/", "/page.js", "/healthz"]) expect((await ask(port, path, { headers })).status).toBe(200);
  for (const known of [token, secret]) {
    const { status } = await ask(port, "/status", { headers: { ...headers, authorization: `Bearer ${known}` } });
    expect(status).toBe(200);
  }
});

test("is unhealthy once the run has failed", async () => {
  const history = historyOf();
  const { port } = await dashboard({ runs: [history] });
  expect((await ask(port, "/healthz")).status).toBe(200);
  history.event({ type: "error", code: "NON_FINITE", message: "step 21" });
  expect((await ask(port, "/healthz")).status).toBe(503);
});

test("goes to a free port when its usual one is taken, but not when one was named", async () => {
  const other = createServer().listen(0, "127.0.0.1");
  await once(other, "listening");
  onTestFinished(() => {
    other.close();
  });
  const address = other.address();
  const port = typeof address === "object" ? address!.port : 0;
  await expect(dashboard({ port })).rejects.toMatchObject({ code: "PORT_IN_USE", message: /--dashboard-port/ });
  const first = await serveDashboard({ runs: [] });
  const second = await serveDashboard({ runs: [] });
  onTestFinished(async () => {
    await first.close();
    await second.close();
  });
  expect(second.port).not.toBe(first.port);
});

test("does not keep a process alive, even with a page open", async () => {
  const built = new URL("../../dist/dashboard/index.js", import.meta.url).href;
  const code = `
    const { serveDashboard, RunHistory } = await import(${JSON.stringify(built)});
    const { port } = await serveDashboard({ port: 0, runs: [new RunHistory({ id: "a", name: "a" })] });
    process.stdout.write(port + "\\n");
    setTimeout(() => process.stdout.write("idle\\n"), 400);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", code], { stdio: ["ignore", "pipe", "inherit"] });
  onTestFinished(() => {
    child.kill("SIGKILL");
  });
  const ended = once(child, "exit");
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  const asked = request({ port: Number(String(line)), host: "127.0.0.1", path: "/events" });
  asked.on("error", () => {});
  asked.on("response", (response) => response.on("error", () => {}).resume());
  asked.end();
  expect(await ended).toEqual([0, null]);
});
