import type { OptimizerDefinition } from "@tutti/core/optim";

const f = Math.fround;

interface Update {
  readonly step: number;
  readonly rate: number;
  readonly divisor: number;
  readonly clipScale: number;
}

/**
 * One update of one parameter in float32 arithmetic, scalar by scalar as the documented formulas read: the oracle for the
 * kernels' bits. `state` holds the slots by name and is replaced.
 */
export function referenceUpdate(
  definition: OptimizerDefinition,
  theta: number,
  sum: number,
  state: Record<string, number>,
  { step, rate, divisor, clipScale }: Update,
): number {
  const { weightDecay, decay, maximize, clipValue } = definition;
  let g = f(f(sum / f(divisor)) * f(clipScale));
  if (clipValue !== null && g > f(clipValue)) g = f(clipValue);
  if (clipValue !== null && g < -f(clipValue)) g = -f(clipValue);
  if (maximize) g = -g;
  if (decay === "coupled" && weightDecay !== 0) g = f(g + f(f(weightDecay) * theta));
  const lr = f(rate);
  const amount = decay === "decoupled" ? f(rate * weightDecay) : 0;
  const start = amount === 0 ? theta : f(theta - f(amount * theta));

  if (definition.kind === "sgd") {
    if (definition.momentum === 0) return f(start - f(lr * g));
    const isStep = definition.velocity === "step";
    const mu = f(definition.momentum);
    if (isStep) g = f(lr * g);
    const fresh = step === 1 ? 1 : f(1 - definition.dampening);
    const v = f(f(mu * state.momentum!) + f(fresh * g));
    state.momentum = v;
    const direction = definition.nesterov ? f(g + f(mu * v)) : v;
    return f(start - (isStep ? direction : f(lr * direction)));
  }

  const epsilon = f(definition.epsilon);
  const root = (value: number) => {
    if (definition.epsilonPlacement === "outside") return f(f(Math.sqrt(value)) + epsilon);
    const inside = f(Math.sqrt(f(value + epsilon)));
    return definition.epsilonPlacement === "inside" ? inside : f(inside + epsilon);
  };
  if (definition.kind === "adagrad") {
    state.squareSum = f(state.squareSum! + f(g * g));
    return f(start - f(f(lr * g) / root(state.squareSum)));
  }
  const alpha = f(definition.alpha);
  const fresh = f(1 - definition.alpha);
  state.squareAverage = f(f(alpha * state.squareAverage!) + f(f(fresh * g) * g));
  let variance = state.squareAverage;
  if (definition.centered) {
    const mean = f(f(alpha * state.gradientAverage!) + f(fresh * g));
    state.gradientAverage = mean;
    variance = Math.max(0, f(variance - f(mean * mean)));
  }
  if (definition.momentum === 0) return f(start - f(f(lr * g) / root(variance)));
  const isStep = definition.velocity === "step";
  const move = f((isStep ? f(lr * g) : g) / root(variance));
  state.momentum = f(f(f(definition.momentum) * state.momentum!) + move);
  return f(start - (isStep ? state.momentum : f(lr * state.momentum)));
}
