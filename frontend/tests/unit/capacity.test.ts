import { describe, expect, test } from 'vitest';
import type { Capacity } from '../../src/api/types';
import {
  linePoints,
  overbookings,
  valuesAt,
  yOf,
} from '../../src/schedule/timeline/capacity';
import { scaleAround } from '../../src/schedule/timeline/window';

const capacity: Capacity = {
  times: [0, 60, 120, 180, 240],
  memory: [0.1, 0.2, 0.3, 0.4, 0.5],
  cpu: [0, 0, 0, 0, 0],
  gpu: [1.5, 0, 1.2, 1.2, 0],
  slots: [0, 0, 0, 0, 1.1],
};

describe('over-booking', () => {
  test('is told from now on, stretch by stretch, earliest first', () => {
    expect(overbookings(capacity, 90_000)).toEqual([
      { measure: 'gpu', from: 120_000, to: 240_000 },
      { measure: 'slots', from: 240_000, to: 300_000 },
    ]);
  });

  test('full is not over', () => {
    expect(overbookings({ ...capacity, gpu: [1, 1, 1, 1, 1], slots: [] }, 0)).toEqual(
      [],
    );
  });
});

describe('the strip', () => {
  test('draws on the axis of the timeline', () => {
    const scale = scaleAround(0, 240_000, 400);
    const points = linePoints(capacity, 'memory', scale, 8 * 400, 400, 100);
    expect(points.map((point) => Math.round(point.x))).toEqual([0, 100, 200, 300, 400]);
  });

  test('nothing is at the bottom, too much stays inside', () => {
    expect(yOf(0, 110)).toBe(110);
    expect(yOf(1, 110)).toBeCloseTo(10);
    expect(yOf(9, 110)).toBe(0);
  });

  test('reads the values nearest to an instant', () => {
    expect(valuesAt(capacity, 130_000)).toMatchObject({ memory: 0.3, gpu: 1.2 });
    expect(valuesAt({ ...capacity, times: [] }, 0)).toBeNull();
  });
});
