import { expect, test } from 'vitest';
import { hasDay, sayView, viewQuery } from '../../src/schedule/saved';

const address = new URLSearchParams(
  'view=week&q=gpu&sel=abc&new=schedule&date=2027-01-01',
);

test('a view is how one looks, not what is open, and its day only when asked for', () => {
  expect(viewQuery(address, false)).toBe('view=week&q=gpu');
  expect(viewQuery(address, true)).toBe('view=week&q=gpu&date=2027-01-01');
  expect(hasDay(address)).toBe(true);
  expect(hasDay(new URLSearchParams('view=week'))).toBe(false);
});

test('what a view shows is said in short', () => {
  expect(sayView('view=week&q=gpu')).toBe('week · filter gpu');
  expect(sayView('group=node&zoom=1d')).toBe('timeline · by node · zoom 1d');
  expect(sayView('')).toBe('timeline');
});
