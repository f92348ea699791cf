import type { IncomingMessage } from "node:http";
import { bearsToken } from "@tutti/core/wire";

/** An HTTP status and why. */
export interface Refusal {
  readonly status: number;
  readonly reason: string;
}

/** Who may do what. */
export interface RequestRules {
  /** Bound to loopback: only names of loopback are answered, and reading needs no token. */
  readonly isLoopback: boolean;
  /** Lets others than loopback's read. */
  readonly readToken: string | undefined;
  /** Lets them steer, and read. */
  readonly controlToken: string;
}

/**
 * What is wrong with where a request comes from, if anything. A web page of another origin must reach nothing: not by a
 * name that it has pointed at this address (DNS rebinding: the Host header then has its name), nor by a form or `fetch` (CSRF:
 * Origin and Sec-Fetch-Site, which scripts cannot set). On other addresses than loopback nothing is told without a token,
 * which such a page does not have, and names cannot be known.
 */
export function originRefusal({ headers }: IncomingMessage, { isLoopback }: RequestRules): Refusal | undefined {
  const { host } = headers;
  if (host === undefined) return { status: 400, reason: "a Host header is needed" };
  if (isLoopback && !isLoopbackName(host))
    return { status: 421, reason: "this server answers to localhost, 127.0.0.1 and [::1] only" };
  const { origin } = headers;
  if (origin !== undefined && origin !== `http://${host}` && origin !== `https://${host}`)
    return { status: 403, reason: "requests of other origins are refused" };
  const site = headers["sec-fetch-site"];
  const isNavigation = headers["sec-fetch-mode"] === "navigate" && headers["sec-fetch-dest"] === "document";
  if (site !== undefined && site !== "same-origin" && site !== "none" && !isNavigation)
    return { status: 403, reason: "requests of other sites are refused" };
  return undefined;
}

/** Whether a request may read what is said of the run. */
export function mayRead(request: IncomingMessage, rules: RequestRules): boolean {
  const { authorization } = request.headers;
  if (rules.isLoopback || maySteer(request, rules)) return true;
  return rules.readToken !== undefined && bearsToken(authorization, rules.readToken);
}

/** Whether a request may steer it: only with the secret of the printed URL, which no form and no other origin can send. */
export function maySteer({ headers }: IncomingMessage, { controlToken }: RequestRules): boolean {
  return bearsToken(headers.authorization, controlToken);
}

/** The host may carry any port: behind `ssh -L` it is another than ours. */
function isLoopbackName(host: string): boolean {
  return /^(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?$/i.test(host);
}
