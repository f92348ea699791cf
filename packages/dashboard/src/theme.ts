import { useEffect, useState } from "preact/hooks";

/** Colours as the style sheet has them now: canvases must be told, and again when the system goes dark or light. */
export interface Theme {
  readonly text: string;
  readonly grid: string;
  readonly compute: string;
  readonly exchange: string;
  readonly wait: string;
  /** For runs and curves, in order. */
  readonly lines: readonly string[];
}

export function useTheme(): Theme {
  const [theme, setTheme] = useState(currentTheme);
  useEffect(() => {
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const changed = (): void => setTheme(currentTheme());
    dark.addEventListener("change", changed);
    return () => dark.removeEventListener("change", changed);
  }, []);
  return theme;
}

function currentTheme(): Theme {
  const style = getComputedStyle(document.documentElement);
  const color = (name: string): string => style.getPropertyValue(name).trim();
  return {
    text: color("--quiet"),
    grid: color("--line"),
    compute: color("--compute"),
    exchange: color("--exchange"),
    wait: color("--wait"),
    lines: Array.from({ length: 8 }, (_, i) => color(`--curve-${i}`)),
  };
}
