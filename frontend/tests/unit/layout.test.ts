import { describe, expect, test } from 'vitest';
import {
  place,
  rowTops,
  thin,
  TimelineIndex,
} from '../../src/schedule/timeline/layout';
import { item } from './examples';

function indexOf(...items: ReturnType<typeof item>[]): TimelineIndex {
  const index = new TimelineIndex();
  index.replace(items);
  return index;
}
const T = Date.parse('2026-11-23T00:00:00Z');
const minute = (n: number) => T + n * 60_000;
const laneOf = (index: TimelineIndex, id: string) => index.get(id)?.lane;

describe('lanes', () => {
  test('runs that do not overlap share one lane', () => {
    const index = indexOf(item('a', 0, 10), item('b', 10, 20));
    expect(index.lanes('row')).toBe(1);
  });

  test('runs that overlap stand in lanes of their own', () => {
    const index = indexOf(item('a', 0, 10), item('b', 5, 15), item('c', 12, 20));
    expect(index.lanes('row')).toBe(2);
    expect([laneOf(index, 'a'), laneOf(index, 'b'), laneOf(index, 'c')]).toEqual([
      0, 1, 0,
    ]);
  });

  test('a row never grows beyond its bound', () => {
    const crowd = Array.from({ length: 50 }, (_, n) => item(`r${n}`, 0, 60));
    expect(indexOf(...crowd).lanes('row')).toBe(8);
  });
});

describe('single changes', () => {
  test('a run that ends earlier frees its lane, and the row keeps its height', () => {
    const index = indexOf(item('a', 0, 30), item('b', 10, 20));
    expect(index.lanes('row')).toBe(2);
    index.put(place(item('a', 0, 5)));
    expect(index.lanes('row')).toBe(2);
    expect(laneOf(index, 'b')).toBe(0);
  });

  test('a run that changes its row is told of both rows', () => {
    const index = indexOf(item('a', 0, 10));
    const touched = index.put(place({ ...item('a', 0, 10), row: 'other' }));
    expect(touched).toEqual(['row', 'other']);
    expect(index.visible('row', T, minute(60))).toEqual([]);
    expect(index.visible('other', T, minute(60))).toHaveLength(1);
  });

  test('what is taken out is gone', () => {
    const index = indexOf(item('a', 0, 10), item('b', 20, 30));
    expect(index.remove('a')).toBe('row');
    expect(index.remove('a')).toBeNull();
    expect(index.visible('row', T, minute(60)).map((it) => it.id)).toEqual(['b']);
  });

  test('a change of state leaves the lane and the order alone', () => {
    const index = indexOf(item('a', 0, 10), item('b', 5, 15));
    index.lanes('row');
    index.amend(place(item('b', 5, 15, { state: 'running' })));
    const found = index.visible('row', T, minute(60));
    expect(found.map((it) => [it.id, it.lane, it.state])).toEqual([
      ['a', 0, 'planned'],
      ['b', 1, 'running'],
    ]);
    expect(index.get('b')).toBe(found[1]);
  });

  test('bars that stay where they are stay the same objects', () => {
    const index = indexOf(item('a', 0, 10), item('b', 20, 30));
    const before = index.visible('row', T, minute(60))[0];
    index.put(place(item('b', 25, 35)));
    expect(index.visible('row', T, minute(60))[0]).toBe(before);
  });
});

describe('the window', () => {
  test('only what touches it is found, long runs that began before it as well', () => {
    const index = indexOf(
      item('long', 0, 100),
      item('past', 5, 10),
      item('in', 60, 61),
      item('later', 90, 95),
    );
    const found = index.visible('row', minute(50), minute(70)).map((it) => it.id);
    expect(found).toEqual(['long', 'in']);
  });

  test('among ten thousand runs in one row it looks at few', () => {
    const many = Array.from({ length: 10_000 }, (_, n) => item(`r${n}`, n, n + 1));
    const index = indexOf(...many);
    expect(index.visible('row', minute(5000), minute(5010))).toHaveLength(10);
  });

  test('neighbours and the nearest run are found for the arrow keys', () => {
    const index = indexOf(item('a', 0, 1), item('b', 10, 11), item('c', 30, 31));
    expect(index.neighbour('b', 1)?.id).toBe('c');
    expect(index.neighbour('a', -1)).toBeUndefined();
    expect(index.nearest('row', minute(18))?.id).toBe('b');
    expect(index.nearest('nowhere', T)).toBeUndefined();
  });

  test('rows are stacked by their heights', () => {
    const heights: Record<string, number> = { a: 30, b: 54, c: 30 };
    expect([...rowTops(['a', 'b', 'c'], (id) => heights[id] ?? 0)]).toEqual([
      0, 30, 84, 114,
    ]);
  });
});

describe('what is too narrow to be seen', () => {
  const PX_PER_MS = 1 / 60_000; // a pixel a minute
  const crowd = [0, 1, 2, 3, 20].map((n) => place(item(`r${n}`, n, n + 0.5)));
  const ids = (bars: readonly { id: string }[]) => bars.map((bar) => bar.id);

  test('is drawn once where bars would cover each other', () => {
    expect(ids(thin(crowd, PX_PER_MS, 5, () => false))).toEqual(['r0', 'r2', 'r20']);
  });

  test('a failure among them is drawn, and so is what is selected', () => {
    const failed = place(item('bad', 1, 1.5, { state: 'failed' }));
    const bars = [crowd[0], failed, crowd[2]].filter((bar) => bar !== undefined);
    expect(ids(thin(bars, PX_PER_MS, 5, () => false))).toContain('bad');
    expect(ids(thin(crowd, PX_PER_MS, 5, (id) => id === 'r1'))).toContain('r1');
  });
});
