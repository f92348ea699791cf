import type { OptimizerDefinition } from "@tutti/core/optim";
import { portablePow } from "@tutti/core/random";

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
  const { weightDecay, decay, maximize, clipValue, l1, l2 } = definition;
  let g = f(f(sum / f(divisor)) * f(clipScale));
  if (clipValue !== null && g > f(clipValue)) g = f(clipValue);
  if (clipValue !== null && g < -f(clipValue)) g = -f(clipValue);
  if (maximize) g = -g;
  const coupled = f((decay === "coupled" ? weightDecay : 0) + l2);
  if (coupled !== 0) g = f(g + f(coupled * theta));
  if (l1 !== 0) g = f(g + f(f(l1) * Math.sign(theta)));
  const lr = f(rate);
  const start = decay === "decoupled" ? f(f(Math.max(0, 1 - rate * weightDecay)) * theta) : theta;

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

  if (definition.kind === "lion") {
    const m = state.gradientAverage!;
    const c = f(f(f(definition.beta1) * m) + f(f(1 - definition.beta1) * g));
    state.gradientAverage = f(f(f(definition.beta2) * m) + f(f(1 - definition.beta2) * g));
    return f(start - f(lr * Math.sign(c)));
  }
  const epsilon = f(definition.epsilon);
  if (definition.kind === "adadelta") {
    const rho = f(definition.rho);
    const fresh = f(1 - definition.rho);
    const old = state.squareStepAverage!;
    state.squareAverage = f(f(rho * state.squareAverage!) + f(f(fresh * g) * g));
    const move = f(f(Math.sqrt(f(f(old + epsilon) / f(state.squareAverage + epsilon)))) * g);
    state.squareStepAverage = f(f(rho * old) + f(f(fresh * move) * move));
    return f(start - f(lr * move));
  }
  if (definition.kind === "adam" || definition.kind === "nadam") {
    const { beta1, beta2 } = definition;
    const m = f(f(f(beta1) * state.gradientAverage!) + f(f(1 - beta1) * g));
    let s = f(f(f(beta2) * state.squareAverage!) + f(f(f(1 - beta2) * g) * g));
    state.gradientAverage = m;
    state.squareAverage = s;
    const rootCorrection = Math.sqrt(1 - portablePow(beta2, step));
    const uncorrected = definition.kind === "adam" && definition.correction === "rate";
    if (definition.kind === "adam" && definition.amsgrad) {
      s = Math.max(s, state.largestSquareAverage!);
      state.largestSquareAverage = s;
    }
    const root = f(f(f(Math.sqrt(s)) * f(uncorrected ? 1 : 1 / rootCorrection)) + epsilon);
    if (definition.kind === "adam") {
      const corrected = rate / (1 - portablePow(beta1, step));
      const meanRate = f(uncorrected ? corrected * rootCorrection : corrected);
      return f(start - f(f(meanRate * m) / root));
    }
    const mu = (t: number) => beta1 * (1 - 0.5 * portablePow(0.96, t * definition.momentumDecay));
    let product = 1;
    for (let t = 1; t <= step; t++) product *= mu(t);
    const gradientRate = f((rate * (1 - mu(step))) / (1 - product));
    const meanRate = f((rate * mu(step + 1)) / (1 - product * mu(step + 1)));
    return f(start - f(f(f(gradientRate * g) + f(meanRate * m)) / root));
  }

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
