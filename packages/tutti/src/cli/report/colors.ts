import pc from "picocolors";

/** Colours for a terminal, none for any other reader (a log of continuous integration is one) and with NO_COLOR; FORCE_COLOR wins. */
export function colorsFor(stream: { readonly isTTY?: boolean }): Colors {
  const { NO_COLOR, FORCE_COLOR } = process.env;
  const isForced = FORCE_COLOR !== undefined && FORCE_COLOR !== "" && FORCE_COLOR !== "0";
  return pc.createColors(isForced || (stream.isTTY === true && (NO_COLOR === undefined || NO_COLOR === "")));
}

export type Colors = ReturnType<typeof pc.createColors>;
