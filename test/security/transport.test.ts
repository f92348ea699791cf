import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { tutti } from "../cli/command.ts";
import { resultOf, TuttiProcess, temporaryFolder, trained } from "../system/tutti-process.ts";

const runFile = "test/fixtures/blobs.ts";
const token = "6f1d0a3b9c8e7d2f4a5b6c7d8e9f0a1b";
const hasOpenssl = spawnSync("openssl", ["version"]).status === 0;
if (!hasOpenssl) console.warn("no openssl on this machine: TLS is not tested here");
const tlsTest = hasOpenssl ? test : test.skip;

/** An authority, and a certificate of its for 127.0.0.1, as PEM files. */
function certificates(folder: string): { ca: string; cert: string; key: string } {
  const path = (name: string): string => join(folder, name);
  const openssl = (...args: string[]): void => {
    execFileSync("openssl", args, { stdio: "pipe" });
  };
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  openssl(
    ...["req", "-x509", ...newKey, "-keyout", path("ca.key"), "-out", path("ca.pem"), "-subj", "/CN=Test authority"],
  );
  openssl("req", ...newKey, "-keyout", path("key.pem"), "-out", path("request.pem"), "-subj", "/CN=coordinator");
  writeFileSync(path("names"), "subjectAltName=IP:127.0.0.1");
  openssl(
    ...["x509", "-req", "-in", path("request.pem"), "-CA", path("ca.pem"), "-CAkey", path("ca.key"), "-CAcreateserial"],
    ...["-extfile", path("names"), "-out", path("cert.pem")],
  );
  return { ca: path("ca.pem"), cert: path("cert.pem"), key: path("key.pem") };
}

/** A coordinator with TLS and a token in a file, and where it listens. */
async function coordinator(folder: string, { cert, key }: { cert: string; key: string }) {
  const tokenFile = join(folder, "token");
  writeFileSync(tokenFile, `${token}\n`, { mode: 0o600 });
  const run = new TuttiProcess([
    ...["coordinator", runFile, "--port", "0", "--out", join(folder, "out"), "--json"],
    ...["--token-file", tokenFile, "--tls-cert", cert, "--tls-key", key],
  ]);
  const notice = await run.event("notice", ({ message }) => message.startsWith("listening"));
  return { run, tokenFile, url: notice.message.replace(/^.* (?=wss?:)/, "") };
}

tlsTest("trains over wss:// to the same bits", async () => {
  const folder = temporaryFolder();
  const files = certificates(folder);
  const { run, tokenFile, url } = await coordinator(folder, files);
  expect(url).toMatch(/^wss:\/\/127\.0\.0\.1:\d+$/);
  const worker = await tutti(["worker", url, "--tls-ca", files.ca, "--token-file", tokenFile]);
  expect(worker.status, worker.stderr).toBe(0);
  expect(await run.end(), run.stderr).toBe(0);
  expect(resultOf(run.events)).toEqual(await trained([runFile, "--workers", "0", "--out", temporaryFolder()]));
});

tlsTest("a worker does not talk to a coordinator whose certificate it does not trust", async () => {
  const folder = temporaryFolder();
  const files = certificates(folder);
  const { url, tokenFile } = await coordinator(folder, files);
  const other = certificates(temporaryFolder());
  const ways: readonly (readonly [readonly string[], string, RegExp])[] = [
    [["--tls-ca", other.ca], url, /certificate of wss:.* is not trusted .*--tls-ca/],
    [[], url, /certificate of wss:.* is not trusted/],
    // The right authority, for another name.
    [
      ["--tls-ca", files.ca],
      url.replace("127.0.0.1", "localhost"),
      /certificate of wss:.* is not trusted .*a host name that it is for/,
    ],
  ];
  for (const [options, address, reason] of ways) {
    const { status, stderr } = await tutti(["worker", address, "--token-file", tokenFile, ...options]);
    expect(stderr).toMatch(/error\[TLS_FAILED\]/);
    expect(stderr).toMatch(reason);
    expect(status).toBe(2);
  }
});

tlsTest("worker and coordinator of which only one speaks TLS say so", async () => {
  const folder = temporaryFolder();
  const { url } = await coordinator(folder, certificates(folder));
  const plain = await tutti(["worker", url.replace("wss:", "ws:"), "--retry", "0"], { env: { TUTTI_TOKEN: token } });
  expect(plain.stderr).toMatch(/error\[UNREACHABLE\]: .*with TLS, its address begins with wss:\/\//);
  const open = new TuttiProcess(["coordinator", runFile, "--port", "0", "--out", temporaryFolder(), "--json"]);
  const notice = await open.event("notice", ({ message }) => message.startsWith("listening"));
  const address = notice.message.replace(/^.* ws:/, "wss:");
  const secure = await tutti(["worker", address]);
  expect(secure.stderr).toMatch(/error\[TLS_FAILED\]: .*Then its address begins with ws:\/\//);
  expect(secure.status).toBe(2);
});

tlsTest("a coordinator refuses a key that is not its certificate's, and one without the other", async () => {
  const folder = temporaryFolder();
  const mine = certificates(folder);
  const other = certificates(temporaryFolder());
  const base = ["coordinator", runFile, "--port", "0", "--out", join(folder, "out")];
  const mixed = await tutti([...base, "--tls-cert", mine.cert, "--tls-key", other.key]);
  expect(mixed.stderr).toMatch(/error\[BAD_OPTION\]: --tls-cert and --tls-key: /);
  const half = await tutti([...base, "--tls-cert", mine.cert]);
  expect(half.stderr).toMatch(/error\[BAD_OPTION\]: --tls-cert and --tls-key are needed together/);
  const none = await tutti([...base, "--tls-cert", join(folder, "no.pem"), "--tls-key", mine.key]);
  expect(none.stderr).toMatch(/error\[BAD_OPTION\]: --tls-cert: cannot read .*no\.pem/);
  expect([mixed.status, half.status, none.status]).toEqual([2, 2, 2]);
});

test("a token comes from a file that others cannot use, or from the environment, and is printed nowhere", async () => {
  const folder = temporaryFolder();
  const file = join(folder, "token");
  writeFileSync(file, token, { mode: 0o600 });
  const base = ["coordinator", runFile, "--port", "0", "--out", join(folder, "out")];
  const refusals: readonly (readonly [readonly string[], Readonly<Record<string, string>>, number, RegExp])[] = [
    [["--token-file", file], {}, 0o640, /can be used by others than its owner \(mode 640\): run chmod 600/],
    [["--token-file", file], {}, 0o604, /mode 604/],
    [["--token-file", file], { TUTTI_TOKEN: token }, 0o600, /both --token-file and TUTTI_TOKEN/],
    [["--token-file", join(folder, "none")], {}, 0o600, /--token-file: cannot read/],
    [[], { TUTTI_TOKEN: token.slice(1) }, 0o600, /the token has 31 characters, at least 32/],
    [["--host", "0.0.0.0"], {}, 0o600, /--host 0\.0\.0\.0 can be reached from other machines/],
    [["--token", token], {}, 0o600, /token/],
  ];
  for (const [options, env, mode, reason] of refusals) {
    chmodSync(file, mode);
    const { status, stdout, stderr } = await tutti([...base, ...options], { env });
    expect(stderr).toMatch(reason);
    expect(stderr).toMatch(/error\[BAD_OPTION\]/);
    expect(status).toBe(2);
    expect(stdout + stderr).not.toContain(token.slice(1));
  }
});

test("a worker with another token, or none, is turned away at once", async () => {
  const run = new TuttiProcess(["coordinator", runFile, "--port", "0", "--out", temporaryFolder(), "--json"], {
    env: { TUTTI_TOKEN: token },
  });
  const notice = await run.event("notice", ({ message }) => message.startsWith("listening"));
  const url = notice.message.replace(/^.* (?=ws:)/, "");
  for (const env of [{ TUTTI_TOKEN: "" }, { TUTTI_TOKEN: `0${token.slice(1)}` }]) {
    const { status, stderr } = await tutti(["worker", url], { env });
    expect(stderr).toMatch(/error\[UNAUTHORIZED\]/);
    expect(status).toBe(2);
  }
});
