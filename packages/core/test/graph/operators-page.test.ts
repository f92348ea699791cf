import { expect, test } from "vitest";
import { operatorsPage } from "./operators-page.ts";

test("docs/operators.md says what the operator table holds; write it anew with -u", async () => {
  await expect(operatorsPage()).toMatchFileSnapshot("../../../../docs/operators.md");
});
