/** How the calendar names its days. */

import { day } from '../../core/format';
import { wallClock } from '../../core/time';
import { clockChange, dateOf, hoursOf } from './period';

export interface DayName {
  readonly weekday: string;
  readonly date: string; // 23 Nov
  readonly number: string;
  readonly today: boolean;
  readonly hours: number;
  readonly change: string | null;
}

export function dayName(at: number, today: number, zone: string): DayName {
  const [weekday = '', number = '', month = ''] = day(at, zone).split(' ');
  const isToday = dateOf(at, zone) === dateOf(today, zone);
  return {
    weekday,
    number,
    date: `${number} ${month}`,
    today: isToday,
    hours: hoursOf(at, zone),
    change: clockChange(at, zone),
  };
}

/** Markup of a day's name: made of our own words only. */
export function nameMarkup(name: DayName | undefined, short: boolean): string {
  if (!name) return '';
  const badge = name.change
    ? ` <span class="clock" title="${name.change}">${name.hours} h</span>`
    : '';
  const mark = name.today ? ' class="now-day"' : '';
  if (short) {
    const [, month = ''] = name.date.split(' ');
    const before = `<span class="hidden-text">${name.weekday} </span>`;
    const after = `<span class="hidden-text"> ${month}</span>`;
    return `${before}<span${mark}>${name.number}</span>${after}${badge}`;
  }
  return `<span${mark}>${name.weekday} ${name.date}</span>${badge}`;
}

export const yearOf = (at: number, zone: string): number =>
  wallClock(at, zone).getUTCFullYear();
