import { describe, expect, test } from 'vitest';
import { changes } from '../../src/agents/diff';
import {
  hashOf,
  heightOf,
  MOST_PX,
  readHash,
  scrollFor,
  windowAt,
  type Shape,
} from '../../src/runs/log/place';

describe('the lines an address names', () => {
  test('are read and written the same', () => {
    for (const hash of ['#L1', '#L1234', '#E7', '#L10-L20', '#E3-E9']) {
      const lines = readHash(hash);
      expect(lines && hashOf(lines)).toBe(hash);
    }
  });
  test('may be told backwards, and nonsense names none', () => {
    expect(readHash('#L20-L10')).toEqual({ stream: 'out', from: 10, to: 20 });
    for (const hash of ['', '#main', '#L0', '#L', '#L1-', '#Lx'])
      expect(readHash(hash)).toBeNull();
  });
});

describe.each([
  { count: 5000, wraps: false },
  { count: 5000, wraps: true },
  { count: 3_000_000, wraps: false },
])('a list of $count rows that wraps: $wraps', ({ count, wraps }) => {
  const shape: Shape = { count, wraps, rowPx: 20, viewPx: 600 };
  test('is no higher than a browser draws, and few rows exist', () => {
    expect(heightOf(shape)).toBeLessThanOrEqual(MOST_PX);
    for (const part of [0, 0.3, 1]) {
      const { first, last } = windowAt(shape, part * (heightOf(shape) - 600));
      expect(last - first).toBeLessThan(100);
      expect(first).toBeGreaterThanOrEqual(0);
      expect(last).toBeLessThanOrEqual(count);
    }
  });
  test('shows any row it is asked for', () => {
    for (const row of [0, 1, 777, Math.floor(count / 2), count - 1]) {
      const { first, last } = windowAt(shape, scrollFor(shape, row));
      expect(first).toBeLessThanOrEqual(row);
      expect(last).toBeGreaterThan(row);
    }
  });
});

test('what changed between two definitions is told key by key', () => {
  const before = { timeout: 60, docker: { image: 'a' }, args: ['x'] };
  const after = { timeout: 120, docker: { image: 'a' }, args: ['x', 'y'] };
  expect(changes(before, after)).toEqual([
    { path: 'args[1]', before: null, after: '"y"' },
    { path: 'timeout', before: '60', after: '120' },
  ]);
});
