import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { resultOf, root, TuttiProcess, temporaryFolder, trained } from "../system/tutti-process.ts";
import { jsonLines, processesWith, tutti } from "./command.ts";

const run = "test/fixtures/few-digits.ts";
const hasOpenssl = spawnSync("openssl", ["version"]).status === 0;
if (!hasOpenssl) console.warn("no openssl on this machine: TLS of hosts is not tested here");
const tlsTest = hasOpenssl ? test : test.skip;
const bin = join(root, "packages/tutti/bin/tutti.js");

/**
 * A folder with an `ssh` that runs what it is given in a shell of this machine, with an environment of its own as a login has,
 * and notes its arguments. The host "down" refuses.
 */
function localSsh(): { readonly path: string; readonly calls: () => readonly string[] } {
  const folder = temporaryFolder();
  const script = `#!/bin/sh
echo "$@" > "${folder}/call-$$"
while [ "$1" != "--" ]; do if [ "$1" = "-R" ]; then forward="$2"; fi; shift; done
if [ "$2" = down ]; then echo "ssh: connect to host down port 22: Connection refused" >&2; exit 255; fi
command="$3"
# A tunnel ends where the coordinator listens.
for word in $forward; do command=$(echo "$command" | sed "s/127.0.0.1:$(echo "$word" | cut -d: -f2)/127.0.0.1:$(echo "$word" | cut -d: -f4)/"); done
exec env -i PATH="${process.env.PATH}" HOME="$HOME" TUTTI_TEST_SSH_HOST="$2" /bin/sh -c "$command"
`;
  writeFileSync(join(folder, "ssh"), script);
  chmodSync(join(folder, "ssh"), 0o755);
  const calls = (): readonly string[] =>
    readdirSync(folder)
      .filter((name) => name.startsWith("call-"))
      .map((name) => readFileSync(join(folder, name), "utf8"));
  return { path: `${folder}:${process.env.PATH}`, calls };
}

const coordinator = (hosts: string): readonly string[] => [
  ...["coordinator", run, "--port", "0", "--out", join(temporaryFolder(), "run"), "--json"],
  ...["--hosts", hosts, "--remote-command", `${process.execPath} ${bin}`],
];

test("starts a worker on each host, tells it the token through stdin alone, and replaces one that dies", async () => {
  const ssh = localSsh();
  const token = "0123456789abcdef0123456789abcdef-secret";
  const longer = ["--set", "epochs=15"]; // long enough for another worker to start
  const training = new TuttiProcess([...coordinator("a,me@b"), ...longer], {
    env: { PATH: ssh.path, TUTTI_TOKEN: token },
  });
  await training.event("step", ({ step }) => step > 20);
  const victim = processesWith("TUTTI_TEST_SSH_HOST=me@b").find((pid) =>
    readFileSync(`/proc/${pid}/cmdline`, "latin1").startsWith(process.execPath),
  );
  expect(victim).toBeDefined();
  expect(readFileSync(`/proc/${victim}/cmdline`, "latin1")).not.toContain(token);
  expect(readFileSync(`/proc/${victim}/environ`, "latin1")).not.toContain(token);
  process.kill(victim!, "SIGKILL");
  await training.event("worker", ({ event, id }) => event === "joined" && id !== "" && joined(training) === 3);
  expect(await training.end(), training.stderr).toBe(0);
  const local = await trained([run, ...longer, "--workers", "0", "--out", join(temporaryFolder(), "run")]);
  expect(resultOf(training.events)).toEqual(local);
  const calls = ssh.calls();
  expect(calls).toHaveLength(3);
  for (const call of calls) {
    expect(call).not.toContain(token);
    expect(call).toMatch(
      /BatchMode=yes .*-- (a|me@b) .* worker ws:\/\/127\.0\.0\.1:\d+ --lanes 1 --json --token-file -\n$/,
    );
  }
  expect(training.stderr).toContain("me@b: the worker ended (");
  expect(processesWith("TUTTI_TEST_SSH_HOST=")).toEqual([]);
});

function joined(training: TuttiProcess): number {
  return training.events.filter((event) => event.type === "worker" && event.event === "joined").length;
}

test("makes a token of its own when none is given, and gives --lanes and --advertise on", async () => {
  const ssh = localSsh();
  const out = join(temporaryFolder(), "run");
  const { status, stdout, stderr } = await tutti(
    [
      ...["coordinator", "test/fixtures/blobs.ts", "--port", "0", "--out", out, "--json", "--host", "0.0.0.0"],
      ...["--hosts", "a", "--lanes", "2", "--advertise", "localhost", "--remote-command", `${process.execPath} ${bin}`],
    ],
    { env: { PATH: ssh.path } },
  );
  expect(status, stderr).toBe(0);
  expect(jsonLines(stdout).at(-1)).toMatchObject({ outcome: "completed", workers: [{ lanes: 2 }] });
  expect(ssh.calls()[0]).toMatch(/ worker ws:\/\/localhost:\d+ --lanes 2 /);
});

test("has workers on hosts listen for each other where they are to exchange sums", async () => {
  const ssh = localSsh();
  const training = new TuttiProcess(
    [...coordinator("a,b"), "--min-workers", "2", "--exchange", "mesh", "--set", "epochs=2"],
    {
      env: { PATH: ssh.path },
    },
  );
  await training.event("notice", ({ message }) => message === "workers exchange sums directly");
  expect(await training.end(), training.stderr).toBe(0);
  for (const call of ssh.calls()) expect(call).toContain(" --json --peer-host 0.0.0.0 --token-file -");
});

test("workers on hosts read files of their own, under any name, and come through the tunnel", async () => {
  const ssh = localSsh();
  const folder = join(temporaryFolder(), "the hosts' data");
  const wide = "test/fixtures/wide.ts";
  const { status, stderr } = await tutti(["data", wide, "--rows", "0", "--write", folder]);
  expect(status, stderr).toBe(0);
  const out = join(temporaryFolder(), "run");
  const training = new TuttiProcess(
    [
      ...["coordinator", wide, "--port", "0", "--out", out, "--json", "--set", "placement=workers"],
      ...["--hosts", "a,b", "--tunnel", "--remote-command", `${process.execPath} ${bin}`, "--data-memory", "1"],
      ...["train", "validation"].flatMap((name) => ["--data", `${name}=${join(folder, `${name}.safetensors`)}`]),
    ],
    { env: { PATH: ssh.path } },
  );
  expect(await training.end(), training.stderr).toBe(0);
  expect(resultOf(training.events)).toEqual(await trained([wide, "--workers", "0", "--out", temporaryFolder()]));
  const port = /ws:\/\/127\.0\.0\.1:(\d+)/.exec(JSON.stringify(training.events))![1];
  for (const call of ssh.calls()) {
    const [, remote] = / -R 127\.0\.0\.1:(\d+):127\.0\.0\.1:\d+ /.exec(call)!;
    expect(call).toContain(`-o ExitOnForwardFailure=yes -R 127.0.0.1:${remote}:127.0.0.1:${port} -- `);
    expect(call).toContain(`worker ws://127.0.0.1:${remote} `);
    expect(call).toContain(" --data-memory 1");
  }
});

tlsTest("workers on hosts trust a certificate that the coordinator has signed itself", async () => {
  const ssh = localSsh();
  const folder = temporaryFolder();
  const [cert, key] = [join(folder, "cert.pem"), join(folder, "key.pem")];
  execFileSync(
    "openssl",
    [
      ...[
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-subj",
        "/CN=trainer",
      ],
      ...["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert],
    ],
    { stdio: "pipe" },
  );
  const blobs = "test/fixtures/blobs.ts";
  const options = ["--hosts", "a", "--tls-cert", cert, "--tls-key", key];
  const training = new TuttiProcess(
    [
      ...["coordinator", blobs, "--port", "0", "--out", join(folder, "run"), "--json"],
      ...[...options, "--remote-command", `${process.execPath} ${bin}`],
    ],
    { env: { PATH: ssh.path } },
  );
  expect(await training.end(), training.stderr).toBe(0);
  expect(resultOf(training.events)).toEqual(await trained([blobs, "--workers", "0", "--out", temporaryFolder()]));
  expect(ssh.calls()).toEqual([
    expect.stringMatching(/ worker wss:\/\/127\.0\.0\.1:\d+ .* --token-file - --tls-ca -\n$/),
  ]);
});

test("refuses what would do nothing, or nothing good", async () => {
  for (const [args, message] of [
    [["--data", "train=a.npz"], "--data: expected beside --hosts"],
    [["--hosts", "a", "--data", "train"], "--data: expected NAME=FILE"],
    [["--hosts", "a", "--tunnel", "--exchange", "mesh"], "--tunnel: expected with --exchange star"],
  ] as const) {
    const { status, stderr } = await tutti(["coordinator", run, ...args]);
    expect(status).toBe(2);
    expect(stderr).toContain(`error[BAD_OPTION]: ${message}`);
  }
});

test("a host that cannot be reached ends the run with what SSH said", async () => {
  const ssh = localSsh();
  const { status, stderr, orphans } = await tutti(coordinator("a,down"), { env: { PATH: ssh.path } });
  expect(status).toBe(1);
  expect(stderr).toMatch(
    /error\[WORKER_FAILED\]: down: no worker could be started there over SSH: ssh: connect to host down port 22: Connection refused/,
  );
  expect(orphans).toEqual([]);
  expect(processesWith("TUTTI_TEST_SSH_HOST=")).toEqual([]);
});

test("refuses hosts that ssh would take for an option", async () => {
  const { status, stderr } = await tutti(["coordinator", run, "--hosts=-oProxyCommand=reboot"]);
  expect(status).toBe(2);
  expect(stderr).toMatch(/^error\[BAD_OPTION\]: --hosts: expected names such as/);
});
