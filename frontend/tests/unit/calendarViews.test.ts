import { expect, test } from 'vitest';
import { DAY, HOUR } from '../../src/core/time';
import { stops } from '../../src/schedule/views/heat';
import { layOut } from '../../src/schedule/views/lay';
import {
  axisLabels,
  clockChange,
  dateOf,
  dayOf,
  daysOf,
  faceOf,
  hoursOf,
  periodOf,
  repetition,
  stepped,
} from '../../src/schedule/views/period';
import { level, months, nextDate, sayDay } from '../../src/schedule/views/year';

const BERLIN = 'Europe/Berlin';
const LORD_HOWE = 'Australia/Lord_Howe';
const at = (text: string) => Date.parse(text);

test('a day is as long as its clocks make it', () => {
  const long = dayOf('2026-10-25', BERLIN, 0);
  expect(hoursOf(long, BERLIN)).toBe(25);
  expect(hoursOf(dayOf('2027-03-28', BERLIN, 0), BERLIN)).toBe(23);
  expect(hoursOf(dayOf('2027-04-04', LORD_HOWE, 0), LORD_HOWE)).toBe(24.5);
  expect(hoursOf(dayOf('2026-11-23', BERLIN, 0), BERLIN)).toBe(24);
  const { from, to } = periodOf('day', long, BERLIN);
  expect(to - from).toBe(25 * HOUR);
});

test('the axis of such a day has its hour twice, or not at all', () => {
  const long = axisLabels(dayOf('2026-10-25', BERLIN, 0), BERLIN, 60);
  expect(long).toHaveLength(25);
  expect(long.slice(1, 5)).toEqual(['01:00', '02:00', '02:00 again', '03:00']);
  const short = axisLabels(dayOf('2027-03-28', BERLIN, 0), BERLIN, 60);
  expect(short).toHaveLength(23);
  expect(short.slice(0, 4)).toEqual(['00:00', '01:00', '03:00', '04:00']);
  const half = axisLabels(dayOf('2027-04-04', LORD_HOWE, 0), LORD_HOWE, 30);
  expect(half).toHaveLength(49);
  expect(half).toContain('01:30 again');
});

test('what the clocks do is said in words', () => {
  expect(clockChange(dayOf('2026-10-25', BERLIN, 0), BERLIN)).toBe(
    '25 hours: 02:00 to 03:00 comes twice',
  );
  expect(clockChange(dayOf('2027-03-28', BERLIN, 0), BERLIN)).toBe(
    '23 hours: 02:00 to 03:00 is left out',
  );
  expect(clockChange(dayOf('2026-11-23', BERLIN, 0), BERLIN)).toBeNull();
});

test('a day goes by hours that pass, a week by the wall clock, and both come back', () => {
  const day = dayOf('2026-10-25', BERLIN, 0);
  const first = at('2026-10-25T00:30:00Z'); // 02:30, and again an hour later
  const long = faceOf('day', day, BERLIN);
  expect(long.toWall(first + HOUR) - long.toWall(first)).toBe(HOUR);
  expect(long.fromWall(long.toWall(first + HOUR))).toBe(first + HOUR);
  const week = faceOf('week', day, BERLIN);
  expect(week.toWall(first + HOUR)).toBe(week.toWall(first));
  expect(week.fromWall(week.toWall(first))).toBe(first);
  expect(repetition(first, BERLIN)).toBe('first');
  expect(repetition(first + HOUR, BERLIN)).toBe('second');
  expect(repetition(first + 5 * HOUR, BERLIN)).toBeNull();
});

test('a week begins on Monday, a month shows whole weeks', () => {
  const day = dayOf('2026-11-25', BERLIN, 0);
  const week = periodOf('week', day, BERLIN);
  expect(dateOf(week.from, BERLIN)).toBe('2026-11-23');
  expect(daysOf(week, BERLIN)).toHaveLength(7);
  const month = periodOf('month', day, BERLIN);
  expect(dateOf(month.from, BERLIN)).toBe('2026-10-26');
  expect(daysOf(month, BERLIN)).toHaveLength(42);
});

test('a step leads to the next day, week, month or year, and never skips a month', () => {
  const day = dayOf('2026-10-31', BERLIN, 0);
  const after = (view: 'day' | 'week' | 'month' | 'year') =>
    dateOf(stepped(view, day, 1, BERLIN), BERLIN);
  expect(after('day')).toBe('2026-11-01');
  expect(after('week')).toBe('2026-11-07');
  expect(after('month')).toBe('2026-11-30');
  expect(after('year')).toBe('2027-10-31');
});

test('a date that is none means today', () => {
  const now = at('2026-11-23T23:30:00Z');
  expect(dateOf(dayOf('someday', BERLIN, now), BERLIN)).toBe('2026-11-24');
});

test('short runs are drawn high enough to be read, long ones above the hours', () => {
  const day = dayOf('2026-11-23', 'UTC', 0);
  const face = faceOf('day', day, 'UTC');
  const entry = (id: string, start: number, end: number) => ({
    ...{ id, start: day + start, end: day + end },
    endless: false,
  });
  const laid = layOut(
    'day',
    [entry('short', HOUR, HOUR + 1000), entry('long', 0, DAY)],
    [],
    [day],
    face,
    'UTC',
  );
  const short = laid.find((it) => it.id === 'short');
  expect(short?.end).toBe('2026-11-23T01:25:00');
  expect(laid.find((it) => it.id === 'long')?.allDay).toBe(true);
  expect(laid.find((it) => it.display === 'background')?.id).toBe(`heat:${day}`);
});

test('heat is grey where what is carried does not fit', () => {
  const flat = [0.2, 0.9];
  const capacity = {
    times: [0, 3600],
    memory: flat,
    cpu: flat,
    gpu: [0, 0],
    slots: flat,
  };
  const need = { memory: 0.2, cpu: 0.05, gpu: 0, slots: 0.05 };
  const found = stops(capacity, 0, 2 * HOUR, need);
  expect(found.map((it) => it.fits)).toEqual([true, false]);
  expect(stops(capacity, 0, 2 * HOUR, null).every((it) => it.fits)).toBe(true);
});

test('a year has its months, and arrows walk its days but not out of it', () => {
  const [january, february] = months(2028);
  expect(january?.blanks).toBe(5); // a Saturday
  expect(february?.cells).toHaveLength(29);
  expect(nextDate('2026-01-01', 'ArrowLeft')).toBeNull();
  expect(nextDate('2026-01-31', 'ArrowRight')).toBe('2026-02-01');
  expect(nextDate('2026-01-08', 'ArrowUp')).toBe('2026-01-01');
  expect(nextDate('2026-01-08', 'x')).toBeNull();
});

test('a day of the year says what it had', () => {
  const none = { succeeded: 0, failed: 0, other: 0, live: 0, planned: 0 };
  const day = '2026-11-23';
  expect(sayDay(undefined)).toBe('no runs');
  expect(sayDay({ ...none, day, count: 4, succeeded: 3, failed: 1 })).toBe(
    '4 runs, 1 failed (25 %)',
  );
  expect([0, 1, 25, 100].map((count) => level(count, 100))).toEqual([0, 1, 2, 4]);
});
