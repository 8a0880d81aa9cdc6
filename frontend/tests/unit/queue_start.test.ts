import { expect, test } from 'vitest';
import { MINUTE } from '../../src/core/time';
import { sayStart } from '../../src/queue/order';

const now = Date.parse('2026-11-23T14:00:00Z');
const said = (about: number, latest: number) =>
  sayStart(now + about * MINUTE, now + latest * MINUTE, 'UTC', now);

test('a run starts about some time, and by another at the latest', () => {
  expect(said(5, 20)).toBe('starts about 14:05, by 14:20 at the latest');
  expect(said(5, 5)).toBe('starts about 14:05');
  expect(said(5, NaN)).toBe('starts about 14:05');
});

test('what starts soon or on another day says so', () => {
  expect(said(0, 0)).toBe('starts now');
  expect(said(0, 12)).toBe('starts now, by 14:12 at the latest');
  expect(said(11 * 60, 11 * 60 + 30)).toBe(
    'starts about Tue 01:00, by 01:30 at the latest',
  );
  expect(said(9 * 60, 11 * 60)).toBe('starts about 23:00, by Tue 01:00 at the latest');
});
