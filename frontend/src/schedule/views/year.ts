/** A year as twelve months of weeks. Pure. */

import type { YearDay } from '../../api/grid';
import { percent, plural } from '../../core/format';

const DAY = 86_400_000;

export interface YearCell {
  readonly date: string; // 2026-11-23
  readonly number: number;
  readonly label: string; // Mon 23 Nov 2026
}
export interface YearMonth {
  readonly name: string;
  readonly blanks: number; // days of the week before the first
  readonly cells: readonly YearCell[];
}

const MONTH = new Intl.DateTimeFormat('en-GB', { month: 'long', timeZone: 'UTC' });
const LABEL = new Intl.DateTimeFormat('en-GB', {
  weekday: 'short',
  day: 'numeric',
  month: 'short',
  year: 'numeric',
  timeZone: 'UTC',
});

export function months(year: number): YearMonth[] {
  return Array.from({ length: 12 }, (_, month) => {
    const first = Date.UTC(year, month, 1);
    const count = (Date.UTC(year, month + 1, 1) - first) / DAY;
    return {
      name: MONTH.format(first),
      blanks: (new Date(first).getUTCDay() + 6) % 7,
      cells: Array.from({ length: count }, (_, index) => cell(first + index * DAY)),
    };
  });
}

function cell(wall: number): YearCell {
  const date = new Date(wall).toISOString().slice(0, 10);
  return { date, number: Number(date.slice(8)), label: LABEL.format(wall) };
}

/** How strong a day is coloured: 0 to 4, so that one busy day leaves the others visible. */
export function level(count: number, most: number): number {
  if (count <= 0 || most <= 0) return 0;
  return Math.max(1, Math.ceil(4 * Math.sqrt(count / most)));
}

export function sayDay(day: YearDay | undefined): string {
  if (!day || day.count === 0) return 'no runs';
  const over = day.succeeded + day.failed + day.other;
  const parts = [];
  if (over + day.live > 0) parts.push(plural(over + day.live, 'run'));
  if (day.failed > 0)
    parts.push(`${day.failed} failed (${percent(day.failed / over)})`);
  if (day.planned > 0) parts.push(`${day.planned.toLocaleString('en')} planned`);
  return parts.join(', ');
}

/** The date that an arrow key leads to; null: not a key of ours, or out of the year. */
export function nextDate(date: string, key: string): string | null {
  const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -7, ArrowDown: 7 }[key];
  const wall = Date.parse(`${date}Z`);
  const year = date.slice(0, 4);
  if (key === 'Home') return `${date.slice(0, 8)}01`;
  if (key === 'PageUp' || key === 'PageDown') {
    const at = new Date(wall);
    at.setUTCMonth(at.getUTCMonth() + (key === 'PageDown' ? 1 : -1));
    const next = at.toISOString().slice(0, 10);
    return next.startsWith(year) ? next : null;
  }
  if (!by) return null;
  const next = new Date(wall + by * DAY).toISOString().slice(0, 10);
  return next.startsWith(year) ? next : null;
}
