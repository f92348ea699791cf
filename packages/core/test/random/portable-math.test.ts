import { createHash } from "node:crypto";
import { portableCos, portableExp, portableLog, portablePow, portableSin } from "@tutti/core/random";
import fc from "fast-check";
import { expect, test } from "vitest";

function relativeError(found: number, wanted: number): number {
  return found === wanted ? 0 : Math.abs(found - wanted) / Math.abs(wanted);
}

/** Values i/steps of the way from low to high, without a transcendental function. */
function grid(low: number, high: number, steps: number): number[] {
  return Array.from({ length: steps + 1 }, (_, index) => low + ((high - low) * index) / steps);
}

const bound = 2e-15;

test("the logarithm is right over the whole range, near one and in the subnormals", () => {
  fc.assert(
    fc.property(fc.double({ min: Number.MIN_VALUE, noNaN: true, noDefaultInfinity: true }), (x) => {
      expect(relativeError(portableLog(x), Math.log(x))).toBeLessThan(bound);
    }),
    { seed: 1, numRuns: 5000 },
  );
  for (const x of [...grid(0.5, 2, 3000), 1 + 2 ** -52, 1 - 2 ** -53, 1 + 1e-9, Number.MAX_VALUE, Number.MIN_VALUE]) {
    expect(relativeError(portableLog(x), Math.log(x))).toBeLessThan(bound);
  }
});

test("the exponential is right from underflow to overflow", () => {
  for (const x of [...grid(-708, 709.7, 10_000), ...grid(-1, 1, 2000)]) {
    expect(relativeError(portableExp(x), Math.exp(x))).toBeLessThan(bound);
  }
  for (const x of grid(-745, -708.5, 300)) {
    expect(Math.abs(portableExp(x) - Math.exp(x))).toBeLessThanOrEqual(2 * Number.MIN_VALUE + bound * Math.exp(x));
  }
});

test("sine and cosine are right, also beside their zeros and far from the origin", () => {
  const besideZeros = grid(-40, 40, 80).map((quarter) => (quarter * Math.PI) / 2);
  for (const x of [...grid(-10, 10, 5000), ...grid(-1e6, 1e6, 4999), ...besideZeros, 1e-300, 1e-9]) {
    expect(relativeError(portableSin(x), Math.sin(x)), `sin(${x})`).toBeLessThan(bound);
    expect(relativeError(portableCos(x), Math.cos(x)), `cos(${x})`).toBeLessThan(bound);
  }
  expect(() => portableCos(1_000_001)).toThrow(RangeError);
});

test("the power is right where a plain exp(y·log x) is not", () => {
  fc.assert(
    fc.property(
      fc.double({ min: 1e-300, max: 1e300, noNaN: true }),
      fc.double({ min: -40, max: 40, noNaN: true }),
      (x, y) => {
        const wanted = x ** y;
        if (wanted < 1e-300 || wanted > 1e300) return;
        expect(relativeError(portablePow(x, y), wanted), `${x} ** ${y}`).toBeLessThan(bound);
      },
    ),
    { seed: 2, numRuns: 5000 },
  );
  // exact oracles: powers of two and of ten as decimal literals
  for (const [x, y, wanted] of [
    [10, 300, 1e300],
    [10, -300, 1e-300],
    [2, 1000, 1.0715086071862673e301],
    [0.999, 10_000, 4.517334597704824e-5],
    [1.0000001, 5_000_000, 1.6487212299634166],
  ] as const) {
    expect(relativeError(portablePow(x, y), wanted), `${x} ** ${y}`).toBeLessThan(bound);
  }
});

test("special values follow Math, except that negative bases have no power", () => {
  const { NaN: nan, POSITIVE_INFINITY: infinity } = Number;
  for (const x of [0, 1, nan, infinity, -1]) expect(portableLog(x)).toBe(Math.log(x));
  for (const x of [0, nan, infinity, -infinity, 710, -746]) expect(portableExp(x)).toBe(Math.exp(x));
  expect([portableSin(0), portableCos(0), portableSin(nan), portableCos(nan)]).toEqual([0, 1, nan, nan]);
  for (const x of [0, 0.5, 1, 2, infinity]) {
    for (const y of [-infinity, -1, 0, 1, 3, infinity]) {
      if (x !== 1) expect(portablePow(x, y), `${x} ** ${y}`).toBe(x ** y);
    }
  }
  expect(portablePow(1, infinity)).toBe(1);
  expect(portablePow(2, 1e300)).toBe(infinity);
  expect(portablePow(2, -1e300)).toBe(0);
  expect(portablePow(-2, 2)).toBeNaN();
});

test("not one bit has changed since these hashes were recorded", () => {
  const hash = (values: number[]) => {
    const bytes = new DataView(new ArrayBuffer(values.length * 8));
    for (const [index, value] of values.entries()) bytes.setFloat64(index * 8, value, true);
    return createHash("sha256").update(bytes).digest("hex").slice(0, 32);
  };
  expect({
    log: hash(grid(1e-3, 50, 5000).map(portableLog)),
    exp: hash(grid(-700, 700, 5000).map(portableExp)),
    sin: hash(grid(-20, 20, 5000).map(portableSin)),
    cos: hash(grid(-20, 20, 5000).map(portableCos)),
    pow: hash(grid(0.01, 5, 5000).map((x, index) => portablePow(x, (index % 41) - 20.5))),
  }).toMatchInlineSnapshot(`
    {
      "cos": "510732fc94f2dc6622a5651d1cad0a2d",
      "exp": "27ce34c66e0060ecb778f8a3bdcaab2c",
      "log": "8457c81f3932a7e2b7a9f5189f2e2bd4",
      "pow": "788de032c81dda1290b8b590ccd8fd77",
      "sin": "9fbed9fc3bce902aff0cc9edec4840d9",
    }
  `);
});
