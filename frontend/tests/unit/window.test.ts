import { describe, expect, test } from 'vitest';
import { DAY, HOUR, MINUTE } from '../../src/core/time';
import {
  instantAt,
  nearsEnd,
  rowAt,
  rowsInSight,
  scaleAround,
  snapMs,
  xOf,
  zoomBy,
  zoomOf,
} from '../../src/schedule/timeline/window';

const tops = Float64Array.from([0, 30, 84, 114, 144]);

describe('rows', () => {
  test('those that touch the window are in sight, also by a pixel', () => {
    expect(rowsInSight(tops, 0, 30)).toEqual([0, 1]);
    expect(rowsInSight(tops, 29, 2)).toEqual([0, 2]);
    expect(rowsInSight(tops, 90, 500)).toEqual([2, 4]);
  });

  test('no rows, nothing in sight', () => {
    expect(rowsInSight(Float64Array.from([0]), 0, 500)).toEqual([0, 0]);
  });

  test('a height belongs to one row, beyond the last to the last', () => {
    expect([0, 29, 30, 83, 84, 9999, -5].map((y) => rowAt(tops, y))).toEqual([
      0, 0, 1, 1, 2, 3, 0,
    ]);
  });
});

describe('the scale', () => {
  const scale = scaleAround(1_000 * DAY, DAY, 1200);

  test('pixels and instants lead back to each other', () => {
    for (const at of [999 * DAY, 1_000 * DAY, 1_000.4 * DAY]) {
      expect(instantAt(scale, xOf(scale, at))).toBeCloseTo(at, 0);
    }
  });

  test('the left edge stands in the middle of the canvas', () => {
    expect(xOf(scale, 1_000 * DAY)).toBeCloseTo(8 * 1200, 6);
    expect(nearsEnd(scale, 8 * 1200, 1200)).toBe(false);
    expect(nearsEnd(scale, 1200, 1200)).toBe(true);
    expect(nearsEnd(scale, 15 * 1200, 1200)).toBe(true);
  });

  test('a drag snaps to what a hand can aim at', () => {
    expect(snapMs(1100 / HOUR)).toBe(MINUTE);
    expect(snapMs(1100 / DAY)).toBe(15 * MINUTE);
    expect(snapMs(1100 / (14 * DAY))).toBe(3 * HOUR);
  });
});

describe('zoom', () => {
  test('stops at both ends and forgives unknown names', () => {
    expect(zoomBy('1h', -1)).toBe('1h');
    expect(zoomBy('1h', 1)).toBe('3h');
    expect(zoomBy('1y', 1)).toBe('1y');
    expect(zoomOf('nonsense', '1d')).toBe('1d');
    expect(zoomOf('1w', '1d')).toBe('1w');
  });
});
