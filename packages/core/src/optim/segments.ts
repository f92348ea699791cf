import { TuttiError } from "../errors/index.ts";
import { AdadeltaRule } from "./adadelta.ts";
import { AdagradRule } from "./adagrad.ts";
import { AdamRule } from "./adam.ts";
import type { ParameterGroup } from "./common-options.ts";
import { checkOptimizer, type OptimizerDefinition } from "./definition.ts";
import { LionRule } from "./lion.ts";
import { NadamRule } from "./nadam.ts";
import { matchesPattern } from "./name-pattern.ts";
import { RmspropRule } from "./rmsprop.ts";
import { SgdRule } from "./sgd.ts";
import type { UpdateRule } from "./update.ts";

/** The flat float32 vector that holds all parameters; entries start on 16 floats, the gaps are zero and stay zero. */
export interface OptimizerLayout {
  /** A multiple of 16. */
  readonly totalFloats: number;
  readonly entries: readonly LayoutEntry[];
}

interface LayoutEntry {
  readonly name: string;
  readonly shape: readonly number[];
  readonly offset: number;
  readonly length: number;
}

/** A stretch of the layout that one rule updates; segments are in order and cover the layout. */
export interface Segment {
  readonly begin: number;
  readonly end: number;
  readonly rule: UpdateRule;
  readonly rows: LimitedRows | null;
}

/** The rows of one parameter, from the beginning of its segment on, whose norm has a limit. */
export interface LimitedRows {
  readonly count: number;
  readonly rowFloats: number;
  readonly maxNorm: number;
  /** The smallest number of floats that is whole rows and whole blocks of 16. */
  readonly periodFloats: number;
}

interface Group {
  readonly rule: UpdateRule;
  readonly maxNorm: number | null;
}

/**
 * The layout cut by parameter groups: neighbours of the same group are one segment, a parameter with limited rows is one of
 * its own. Throws TuttiError BAD_OPTION for a pattern or a limit without effect, and for groups that keep different state.
 */
export function segmentsOf(definition: OptimizerDefinition, layout: OptimizerLayout): Segment[] {
  const rest = groupOf(definition);
  const groups = definition.groups.map((_, index) => groupOf(memberDefinition(definition, index)));
  for (const [index, group] of groups.entries()) checkSameState(rest, group, index);
  checkPatterns(definition.groups, layout);
  const segments: Segment[] = [];
  for (const [index, entry] of layout.entries.entries()) {
    const { rule, maxNorm } = groups[firstMatch(definition.groups, entry.name)] ?? rest;
    const rows = maxNorm === null ? null : limitedRows(entry, maxNorm);
    const end = layout.entries[index + 1]?.offset ?? layout.totalFloats;
    const last = segments.at(-1);
    if (last !== undefined && last.rule === rule && last.rows === null && rows === null) {
      segments[segments.length - 1] = { ...last, end };
    } else {
      segments.push({ begin: last?.end ?? 0, end, rule, rows });
    }
  }
  if (segments.length === 0) segments.push({ begin: 0, end: layout.totalFloats, rule: rest.rule, rows: null });
  checkLimits(definition, segments, layout);
  return segments;
}

/** The definition that holds for the members of one group. */
function memberDefinition(definition: OptimizerDefinition, index: number): OptimizerDefinition {
  const { match: _, lrScale, ...changes } = definition.groups[index]!;
  const lr = lrScale === undefined ? {} : { lr: { kind: "scaled", by: lrScale, rate: definition.lr } };
  return checkOptimizer({ ...definition, ...changes, ...lr, groups: [] });
}

function groupOf(definition: OptimizerDefinition): Group {
  return { rule: ruleOf(definition), maxNorm: definition.maxNorm };
}

export function ruleOf(definition: OptimizerDefinition): UpdateRule {
  switch (definition.kind) {
    case "sgd":
      return new SgdRule(definition);
    case "adagrad":
      return new AdagradRule(definition);
    case "rmsprop":
      return new RmspropRule(definition);
    case "adadelta":
      return new AdadeltaRule(definition);
    case "adam":
      return new AdamRule(definition);
    case "nadam":
      return new NadamRule(definition);
    case "lion":
      return new LionRule(definition);
  }
}

function checkSameState(rest: Group, group: Group, index: number): void {
  const inWords = ({ rule }: Group) => rule.slots.map(({ name, initialValue }) => `${name} from ${initialValue}`);
  const [wanted, found] = [inWords(rest).join(", "), inWords(group).join(", ")];
  if (wanted === found) return;
  throw new TuttiError(
    "BAD_OPTION",
    `optimizer: groups[${index}] must keep the same state as the other parameters, ${wanted || "none"}, found ${found || "none"}; options that decide about it (momentum, centered, amsgrad, initialAccumulator) are the same for all groups`,
    { group: index },
  );
}

/** Index of the first group that the parameter matches, or -1. */
function firstMatch(groups: readonly ParameterGroup[], name: string): number {
  return groups.findIndex((group) => patternsOf(group).some((pattern) => matchesPattern(pattern, name)));
}

function patternsOf({ match }: ParameterGroup): readonly string[] {
  return typeof match === "string" ? [match] : match;
}

function checkPatterns(groups: readonly ParameterGroup[], { entries }: OptimizerLayout): void {
  for (const [index, group] of groups.entries()) {
    const free = entries.filter(({ name }) => [-1, index].includes(firstMatch(groups.slice(0, index + 1), name)));
    for (const pattern of patternsOf(group)) {
      if (free.some(({ name }) => matchesPattern(pattern, name))) continue;
      const isTaken = entries.some(({ name }) => matchesPattern(pattern, name));
      throw new TuttiError(
        "BAD_OPTION",
        `optimizer: groups[${index}]: match must name trained parameters${isTaken ? " that no earlier group has" : ""}, found "${pattern}", which matches none of ${namesOf(free)}`,
        { group: index, pattern },
      );
    }
  }
}

function namesOf(entries: readonly LayoutEntry[]): string {
  const names = entries.slice(0, 12).map(({ name }) => name);
  return `${names.join(", ") || "0 parameters"}${entries.length > 12 ? `, … (${entries.length})` : ""}`;
}

function limitedRows({ shape, length }: LayoutEntry, maxNorm: number): LimitedRows | null {
  if (shape.length < 2 || length === 0) return null;
  const rowFloats = length / shape[0]!;
  let periodFloats = rowFloats;
  while (periodFloats % 16 !== 0) periodFloats *= 2;
  return { count: shape[0]!, rowFloats, maxNorm, periodFloats };
}

function checkLimits(definition: OptimizerDefinition, segments: readonly Segment[], layout: OptimizerLayout): void {
  const limits = [definition, ...definition.groups].filter(({ maxNorm }) => maxNorm !== null && maxNorm !== undefined);
  const isUsed = segments.some(({ rows }) => rows !== null);
  if (limits.length === 0 || isUsed || layout.entries.length === 0) return;
  throw new TuttiError(
    "BAD_OPTION",
    `optimizer: maxNorm limits the rows of parameters of rank 2 or more, found none among ${namesOf(layout.entries)}`,
  );
}
