/** What coordinator and workers share; undefined when TUTTI_TOKEN is not set, or empty. */
export function tokenFromEnvironment(): string | undefined {
  const token = process.env.TUTTI_TOKEN;
  return token === "" ? undefined : token;
}
