import { createHash, timingSafeEqual } from "node:crypto";

/** True if an Authorization header bears the token. Digests are compared in constant time: neither content nor length leaks. */
export function bearsToken(authorization: string | undefined, token: string): boolean {
  const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(authorization ?? ""), digest(`Bearer ${token}`));
}
