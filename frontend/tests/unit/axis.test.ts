import { describe, expect, test } from 'vitest';
import {
  HOUR,
  instantOf,
  MINUTE,
  offsetMs,
  snapTo,
  startOfDay,
  DAY,
} from '../../src/core/time';
import { MONTH, tickStep, ticks, upper } from '../../src/schedule/timeline/axis';

const at = (iso: string) => Date.parse(iso);
const BERLIN = 'Europe/Berlin';
const LORD_HOWE = 'Australia/Lord_Howe';

describe('wall clocks', () => {
  test('the offset changes at the very instant the clocks do', () => {
    expect(offsetMs(at('2026-03-29T00:59:59Z'), BERLIN)).toBe(HOUR);
    expect(offsetMs(at('2026-03-29T01:00:00Z'), BERLIN)).toBe(2 * HOUR);
  });

  test('Lord Howe Island moves its clocks by half an hour', () => {
    const before = offsetMs(at('2026-04-04T14:59:59Z'), LORD_HOWE);
    const after = offsetMs(at('2026-04-04T15:00:00Z'), LORD_HOWE);
    expect(before - after).toBe(30 * MINUTE);
  });

  test('of an hour that comes twice the first is meant', () => {
    const wall = Date.UTC(2026, 9, 25, 2, 30);
    expect(instantOf(wall, BERLIN)).toBe(at('2026-10-25T00:30:00Z'));
  });

  test('a time that is left out becomes the one an hour later', () => {
    const wall = Date.UTC(2026, 2, 29, 2, 30);
    expect(instantOf(wall, BERLIN)).toBe(at('2026-03-29T01:30:00Z'));
  });

  test('a day begins at local midnight on both days of change', () => {
    expect(startOfDay(at('2026-03-29T12:00:00Z'), BERLIN)).toBe(
      at('2026-03-28T23:00:00Z'),
    );
    expect(startOfDay(at('2026-10-25T12:00:00Z'), BERLIN)).toBe(
      at('2026-10-24T22:00:00Z'),
    );
  });

  test('snapping keeps round local hours where the zone is 45 minutes off', () => {
    const snapped = snapTo(at('2026-11-23T03:20:00Z'), HOUR, 'Asia/Kathmandu');
    expect(snapped).toBe(at('2026-11-23T03:15:00Z'));
  });
});

describe('ticks', () => {
  const labels = (from: string, to: string, step: number, zone: string) =>
    ticks(at(from), at(to), step, zone)
      .filter((tick) => tick.at >= at(from))
      .map((tick) => tick.label + (tick.mark ? `!${tick.mark}` : ''));

  test('the hour that comes twice has two ticks, the second one marked', () => {
    expect(
      labels('2026-10-24T23:00:00Z', '2026-10-25T03:00:00Z', HOUR, BERLIN),
    ).toEqual(['1', '2', '2!repeated', '3']);
  });

  test('the hour that is left out has none, and the next is marked', () => {
    expect(
      labels('2026-03-29T00:00:00Z', '2026-03-29T03:00:00Z', HOUR, BERLIN),
    ).toEqual(['1', '3!skipped', '4']);
  });

  test('a half-hour change is marked at the next full hour', () => {
    const found = labels(
      '2026-04-04T14:00:00Z',
      '2026-04-04T18:00:00Z',
      HOUR,
      LORD_HOWE,
    );
    expect(found.filter((label) => label.includes('!'))).toHaveLength(1);
  });

  test('a mark does not depend on where the window begins', () => {
    const whole = ticks(
      at('2026-03-28T00:00:00Z'),
      at('2026-03-30T00:00:00Z'),
      HOUR,
      BERLIN,
    );
    const part = ticks(
      at('2026-03-29T01:00:00Z'),
      at('2026-03-29T05:00:00Z'),
      HOUR,
      BERLIN,
    );
    const marked = (list: typeof whole) =>
      list.filter((tick) => tick.mark).map((it) => it.at);
    expect(marked(part)).toEqual(marked(whole));
  });

  test('minutes are shown where an hour is wide', () => {
    const found = labels(
      '2026-11-23T08:00:00Z',
      '2026-11-23T08:30:00Z',
      10 * MINUTE,
      'UTC',
    );
    expect(found).toEqual(['08:00', '08:10', '08:20']);
  });

  test('midnights are major', () => {
    const found = ticks(
      at('2026-11-22T20:00:00Z'),
      at('2026-11-23T03:00:00Z'),
      HOUR,
      BERLIN,
    );
    expect(found.filter((tick) => tick.major).map((tick) => tick.at)).toEqual([
      at('2026-11-22T23:00:00Z'),
    ]);
  });

  test('days follow one another over a change, 23 and 25 hours long', () => {
    const found = upper(
      at('2026-03-28T12:00:00Z'),
      at('2026-03-31T00:00:00Z'),
      DAY,
      BERLIN,
    );
    const lengths = found
      .slice(1)
      .map((tick, index) => tick.at - (found[index]?.at ?? 0));
    expect(lengths).toEqual([24 * HOUR, 23 * HOUR, 24 * HOUR]);
  });

  test('weeks begin on Monday', () => {
    const found = ticks(
      at('2026-11-01T00:00:00Z'),
      at('2026-11-30T00:00:00Z'),
      7 * 24 * HOUR,
      'UTC',
    );
    expect(found.map((tick) => tick.label)).toEqual(['2', '9', '16', '23']);
  });

  test('the step grows until labels have room', () => {
    expect(tickStep(1000 / HOUR, 46)).toBe(5 * MINUTE);
    expect(tickStep(1000 / (24 * HOUR), 46)).toBe(2 * HOUR);
    expect(tickStep(1000 / (14 * 24 * HOUR), 46)).toBe(24 * HOUR);
  });
});

test('a year shows the first of each month, also where the clocks change', () => {
  expect(tickStep(1200 / (365 * DAY), 46)).toBe(MONTH);
  const found = ticks(
    at('2026-02-10T00:00:00Z'),
    at('2026-05-02T00:00:00Z'),
    MONTH,
    BERLIN,
  );
  expect(found.map((tick) => [tick.label, new Date(tick.at).toISOString()])).toEqual([
    ['Feb 2026', '2026-01-31T23:00:00.000Z'],
    ['Mar 2026', '2026-02-28T23:00:00.000Z'],
    ['Apr 2026', '2026-03-31T22:00:00.000Z'],
    ['May 2026', '2026-04-30T22:00:00.000Z'],
  ]);
});
