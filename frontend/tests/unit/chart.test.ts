import { expect, test } from 'vitest';
import { aligned, bounds, needSeconds, withoutRepeats } from '../../src/ui/chart';

const line = (values: (number | null)[]) => ({
  name: 'a',
  colour: '--line-cpu',
  values,
});

test('every line is as long as the instants, with gaps where nothing is known', () => {
  expect(aligned([1000, 2000, 3000], [line([5]), line([1, null, 3])])).toEqual([
    [1, 2, 3],
    [5, null, null],
    [1, null, 3],
  ]);
});

test('the axis spans what was asked for, else what was measured', () => {
  expect(bounds([1000, 9000], undefined, undefined)).toEqual([1, 9]);
  expect(bounds([4000], 1000, 61_000)).toEqual([1, 61]);
});

test('the axis of a single instant still has a width', () => {
  expect(bounds([5000], undefined, undefined)).toEqual([5, 6]);
});

test('no label of an axis repeats the one before it', () => {
  expect(withoutRepeats(['1 MB', '1 MB', '2 MB'])).toEqual(['1 MB', '', '2 MB']);
});

test('ticks closer than a minute are told with their seconds', () => {
  expect(needSeconds([0, 60, 120])).toBe(false);
  expect(needSeconds([0, 15, 30])).toBe(true);
});
