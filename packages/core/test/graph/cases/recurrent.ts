import type { CaseTable } from "../gradient-case.ts";

/** Their values are checked in recurrent.test.ts. */
export const recurrent: CaseTable = { ":RNN": "no gradient", ":GRU": "no gradient", ":LSTM": "no gradient" };
