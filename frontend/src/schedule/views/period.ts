/** Which days a view shows, and where an instant stands on them. Pure. */

import {
  addDays,
  DAY,
  HOUR,
  instantOf,
  MINUTE,
  startOfDay,
  wallClock,
} from '../../core/time';

export const VIEWS = [
  { key: 'timeline', label: 'Timeline', shortcut: 't' },
  { key: 'day', label: 'Day', shortcut: 'd' },
  { key: 'week', label: 'Week', shortcut: 'w' },
  { key: 'month', label: 'Month', shortcut: 'm' },
  { key: 'list', label: 'List', shortcut: 'l' },
  { key: 'year', label: 'Year', shortcut: 'y' },
] as const;
export type ViewName = (typeof VIEWS)[number]['key'];
export type GridName = 'day' | 'week' | 'month' | 'list';

export const viewOf = (key: string | null): ViewName =>
  VIEWS.find((view) => view.key === key)?.key ?? 'timeline';

export const isGrid = (view: ViewName): view is GridName =>
  view !== 'timeline' && view !== 'year';

/** Runs of an agent on one day that are shown one by one; more are one band. */
export const SINGLY: Readonly<Record<GridName, number>> = {
  day: 24,
  week: 8,
  month: 3,
  list: 12,
};

export interface Period {
  readonly from: number;
  readonly to: number;
}

/** "2026-11-23" at midnight in the zone; of anything else today. */
export function dayOf(date: string | null, zone: string, now: number): number {
  const wall = /^\d{4}-\d\d-\d\d$/.test(date ?? '') ? Date.parse(`${date}Z`) : NaN;
  return Number.isNaN(wall) ? startOfDay(now, zone) : firstOf(wall, zone);
}

/** The first instant of the day of a wall time. */
function firstOf(wall: number, zone: string): number {
  return instantOf(Math.floor(wall / DAY) * DAY, zone);
}

export function dateOf(at: number, zone: string): string {
  return wallClock(at, zone).toISOString().slice(0, 10);
}

/** The days in sight: a day, a week from Monday, the weeks of a month, or a year. */
export function periodOf(view: ViewName, day: number, zone: string): Period {
  const wall = wallClock(day, zone);
  const at = (y: number, m: number, d: number) => firstOf(Date.UTC(y, m, d), zone);
  const [y, m, d] = [wall.getUTCFullYear(), wall.getUTCMonth(), wall.getUTCDate()];
  if (view === 'day') return { from: day, to: at(y, m, d + 1) };
  if (view === 'year') return { from: at(y, 0, 1), to: at(y + 1, 0, 1) };
  if (view === 'month') {
    const first = monday(Date.UTC(y, m, 1));
    const last = monday(Date.UTC(y, m + 1, 0)) + 7 * DAY;
    return { from: firstOf(first, zone), to: firstOf(last, zone) };
  }
  const first = monday(Date.UTC(y, m, d));
  return { from: firstOf(first, zone), to: firstOf(first + 7 * DAY, zone) };
}

function monday(wall: number): number {
  return wall - ((new Date(wall).getUTCDay() + 6) % 7) * DAY;
}

/** The same view, one step earlier or later. */
export function stepped(view: ViewName, day: number, step: -1 | 1, zone: string) {
  if (view === 'day') return addDays(day, step, zone);
  if (view !== 'month' && view !== 'year') return addDays(day, 7 * step, zone);
  const wall = wallClock(day, zone);
  const months = view === 'year' ? 12 * step : step;
  const [y, m] = [wall.getUTCFullYear(), wall.getUTCMonth() + months];
  const last = new Date(Date.UTC(y, m + 1, 0)).getUTCDate();
  return firstOf(Date.UTC(y, m, Math.min(wall.getUTCDate(), last)), zone);
}

/** The local days of a period. */
export function daysOf({ from, to }: Period, zone: string): number[] {
  const days: number[] = [];
  let wall = Date.parse(`${dateOf(from, zone)}Z`);
  for (let at = from; at < to; at = firstOf(wall, zone)) {
    days.push(at);
    wall += DAY;
  }
  return days;
}

export const hoursOf = (day: number, zone: string): number =>
  (addDayStart(day, zone) - day) / HOUR;

function addDayStart(day: number, zone: string): number {
  return firstOf(Date.parse(`${dateOf(day, zone)}Z`) + DAY, zone);
}

/**
 * How a grid maps instants to its own clock. A week goes by the wall clock, so that 09:00
 * is at one height on all days. A day goes by the hours that really pass: on the day the
 * clocks change its axis has the hour twice, or not at all.
 */
export interface Face {
  toWall(at: number): number;
  fromWall(wall: number): number;
}

export function faceOf(view: GridName, day: number, zone: string): Face {
  if (view !== 'day') {
    return {
      toWall: (at) => wallClock(at, zone).getTime(),
      fromWall: (wall) => instantOf(wall, zone),
    };
  }
  const midnight = Date.parse(`${dateOf(day, zone)}Z`);
  return {
    toWall: (at) => midnight + (at - day),
    fromWall: (wall) => day + (wall - midnight),
  };
}

/** "2026-11-23T09:00:00", as the calendar takes it: without a zone. */
export const wallText = (wall: number): string =>
  new Date(wall).toISOString().slice(0, 19);

/**
 * The labels down the side. A day goes by the hours that really pass: where the clocks are
 * put back an hour comes again, where they are put forward one is missing.
 */
export function axisLabels(
  day: number | null,
  zone: string,
  minutes: number,
): string[] {
  if (day === null)
    return Array.from({ length: 24 }, (_, hour) => clockText(hour * 60));
  const seen = new Set<string>();
  let before = -minutes;
  return halves(day, zone, minutes).map((it) => {
    const text = clockText(it);
    const again = seen.has(text);
    const jump = it - before !== minutes;
    before = it;
    seen.add(text);
    if (again) return `${text} again`;
    return jump || it % 60 === 0 ? text : '';
  });
}

/** What the clock shows, in minutes after midnight, after each so many minutes of a day. */
function halves(day: number, zone: string, minutes: number): number[] {
  const found: number[] = [];
  for (let at = day; at < addDayStart(day, zone); at += minutes * MINUTE) {
    const wall = wallClock(at, zone);
    found.push(wall.getUTCHours() * 60 + wall.getUTCMinutes());
  }
  return found;
}

/** What is special about a day: "25 hours: 02:00 to 03:00 comes twice". Null: nothing. */
export function clockChange(day: number, zone: string): string | null {
  const hours = hoursOf(day, zone);
  if (hours === 24) return null;
  const shown = halves(day, zone, 30);
  const jump = shown.findIndex((it, at) => at > 0 && it - (shown[at - 1] ?? 0) !== 30);
  const [before, after] = [(shown[jump - 1] ?? 0) + 30, shown[jump] ?? 0];
  if (jump < 0) return `${hours} hours`;
  const said =
    after > before
      ? `${clockText(before)} to ${clockText(after)} is left out`
      : `${clockText(after)} to ${clockText(before)} comes twice`;
  return `${hours} hours: ${said}`;
}

const clockText = (minutes: number) =>
  new Date(minutes * MINUTE).toISOString().slice(11, 16);

/** Which of two: an instant whose wall time comes twice is the first or the second. */
export function repetition(at: number, zone: string): 'first' | 'second' | null {
  const wall = wallClock(at, zone).getTime();
  for (const shift of [HOUR, HOUR / 2]) {
    if (wallClock(at + shift, zone).getTime() === wall) return 'first';
    if (wallClock(at - shift, zone).getTime() === wall) return 'second';
  }
  return null;
}
