import { X509Certificate } from "node:crypto";
import { hostname } from "node:os";
import { parsePlaces } from "@tutti/core/data";
import { TuttiError } from "@tutti/core/errors";
import type { RemoteHosts } from "../remote-workers.ts";
import { readText } from "./secrets.ts";

/** What `tutti coordinator` was told about workers that it starts on other machines. */
export interface HostArguments {
  readonly hosts: readonly string[] | undefined;
  readonly remoteCommand: string | undefined;
  readonly lanes: number | undefined;
  readonly data: readonly string[];
  readonly tunnel: boolean;
  readonly tlsCa: string | undefined;
  readonly tls: { readonly cert: string } | undefined;
  readonly exchange: string | undefined;
  /** Address that is listened on. */
  readonly host: string;
  readonly advertise: string | undefined;
}

/** Undefined without `--hosts`. Throws BAD_OPTION for options that would do nothing, or nothing good. */
export function remoteHosts(args: HostArguments): RemoteHosts | undefined {
  const { hosts, remoteCommand = "npx tutti", lanes = 1, data, tunnel } = args;
  checkOptions(args);
  if (hosts === undefined) return undefined;
  const tlsCa = trusted(args);
  const address = reachableAddress(args);
  return {
    ...{ names: hosts, command: remoteCommand, lanes, data, tunnel },
    ...(tlsCa === undefined ? {} : { tlsCa }),
    ...(address === undefined ? {} : { address }),
  };
}

function checkOptions({ hosts, data, tunnel, tlsCa, tls, exchange = "star", advertise }: HostArguments): void {
  const bad = (message: string): TuttiError => new TuttiError("BAD_OPTION", message);
  const named = { data: data.length > 0, tunnel, "tls-ca": tlsCa !== undefined, advertise: advertise !== undefined };
  const idle = Object.entries(named).find(([, isGiven]) => isGiven)?.[0];
  if (hosts === undefined && idle !== undefined)
    throw bad(`--${idle}: expected beside --hosts, as it tells of the workers that it starts`);
  if (tunnel && tls !== undefined)
    throw bad("--tunnel: expected without --tls-cert: SSH encrypts what goes through it");
  if (tunnel && exchange !== "star")
    throw bad("--tunnel: expected with --exchange star, as a tunnel leads to this machine alone");
  parsePlaces(data);
}

/** Certificates that the workers shall trust: those given, by default the coordinator's own where it is signed by itself. */
function trusted({ tlsCa, tls }: HostArguments): string | undefined {
  if (tlsCa !== undefined) return readText("tls-ca", tlsCa);
  if (tls === undefined) return undefined;
  try {
    const certificate = new X509Certificate(tls.cert);
    return certificate.checkIssued(certificate) ? tls.cert : undefined;
  } catch {
    return undefined; // listening says what is wrong with it
  }
}

/** Where other machines find this one: nobody can connect to "all addresses". */
function reachableAddress({ host, advertise }: HostArguments): string | undefined {
  if (advertise !== undefined) return advertise;
  return host === "0.0.0.0" || host === "::" ? hostname() : undefined;
}
