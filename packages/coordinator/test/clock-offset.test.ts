import fc from "fast-check";
import { expect, test } from "vitest";
import { ClockOffset } from "../src/clock-offset.ts";

/** A heartbeat to a clock that is `ahead` of ours, kept there for a while, and back. */
function roundTrip({ sentMs, thereMs, heldMs, backMs, aheadMs }: Record<string, number>) {
  const arrivedMs = sentMs! + thereMs!;
  return {
    sentMs: sentMs!,
    answeredMs: arrivedMs + heldMs! + aheadMs!,
    heldMs: heldMs!,
    receivedMs: arrivedMs + heldMs! + backMs!,
  };
}

test("is exact when both ways take as long, however long the answer was kept", () => {
  const offset = new ClockOffset();
  expect(offset.best).toBeUndefined();
  offset.add(roundTrip({ sentMs: 100, thereMs: 4, heldMs: 700, backMs: 4, aheadMs: -5000 }));
  expect(offset.best).toEqual({ offsetMs: -5000, errorMs: 4 });
});

test("is never further off than it says, whatever the ways take", () => {
  const ms = (max: number) => fc.integer({ min: 0, max }).map((value) => value / 8);
  const trip = fc.record({ sentMs: ms(1e6), thereMs: ms(4000), heldMs: ms(8000), backMs: ms(4000) });
  fc.assert(
    fc.property(
      fc.integer({ min: -1e6, max: 1e6 }),
      fc.array(trip, { minLength: 1, maxLength: 60 }),
      (aheadMs, trips) => {
        const offset = new ClockOffset();
        for (const one of trips) offset.add(roundTrip({ ...one, aheadMs }));
        const { offsetMs, errorMs } = offset.best!;
        expect(Math.abs(offsetMs - aheadMs)).toBeLessThanOrEqual(errorMs);
        expect(errorMs).toBe(Math.min(...trips.slice(-32).map(({ thereMs, backMs }) => (thereMs + backMs) / 2)));
      },
    ),
    { seed: 5 },
  );
});

test("takes no answer to what was not sent", () => {
  const offset = new ClockOffset();
  offset.add({ sentMs: 500, answeredMs: 10, heldMs: 0, receivedMs: 100 });
  offset.add({ sentMs: 0, answeredMs: Number.POSITIVE_INFINITY, heldMs: 0, receivedMs: 100 });
  expect(offset.best).toBeUndefined();
});
