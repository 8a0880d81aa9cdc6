/** Words and figures for people. The only place where an instant becomes local text. */

import { DAY, HOUR, MINUTE, SECOND, wallClock } from './time';

const WEEKDAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'] as const;
const MONTHS = [
  'Jan',
  'Feb',
  'Mar',
  'Apr',
  'May',
  'Jun',
  'Jul',
  'Aug',
  'Sep',
  'Oct',
  'Nov',
  'Dec',
] as const;

const two = (n: number): string => String(n).padStart(2, '0');

/** 10:40 */
export function clock(at: number, zone: string): string {
  const wall = wallClock(at, zone);
  return `${two(wall.getUTCHours())}:${two(wall.getUTCMinutes())}`;
}

/** 10:40:07 */
export function clockWithSeconds(at: number, zone: string): string {
  return `${clock(at, zone)}:${two(wallClock(at, zone).getUTCSeconds())}`;
}

/** Mon 23 Nov */
export function day(at: number, zone: string): string {
  const wall = wallClock(at, zone);
  return `${WEEKDAYS[wall.getUTCDay()]} ${wall.getUTCDate()} ${MONTHS[wall.getUTCMonth()]}`;
}

/** Mon 10:40, or Mon 23 Nov 10:40 when it is not within the coming week. */
export function moment(at: number, zone: string, now: number): string {
  const wall = wallClock(at, zone);
  const near = Math.abs(at - now) < 6 * DAY;
  const date = near ? WEEKDAYS[wall.getUTCDay()] : day(at, zone);
  return `${date} ${clock(at, zone)}`;
}

/** Mon 23 Nov 2026, 10:40:07 */
export function full(at: number, zone: string): string {
  return `${day(at, zone)} ${wallClock(at, zone).getUTCFullYear()}, ${clockWithSeconds(at, zone)}`;
}

/** Mon 23 – Sun 29 Nov 2026; Mon 23 Nov 2026, 10:00 – 16:00 */
export function range(from: number, to: number, zone: string): string {
  const last = to - 1;
  const year = wallClock(last, zone).getUTCFullYear();
  if (day(from, zone) === day(last, zone) && to - from < DAY) {
    return `${day(from, zone)} ${year}, ${clock(from, zone)} – ${clock(to, zone)}`;
  }
  const a = wallClock(from, zone);
  const sameMonth = a.getUTCMonth() === wallClock(last, zone).getUTCMonth();
  const start = sameMonth
    ? `${WEEKDAYS[a.getUTCDay()]} ${a.getUTCDate()}`
    : day(from, zone);
  return `${start} – ${day(last, zone)} ${year}`;
}

/** 42 s, 3 m 20 s, 2 h 5 m, 3 d 4 h */
export function duration(ms: number): string {
  const s = Math.round(Math.abs(ms) / SECOND);
  if (Math.abs(ms) < SECOND) return `${Math.round(Math.abs(ms))} ms`;
  if (s < 60) return `${s} s`;
  if (s < 3600) return pair(Math.floor(s / 60), 'm', s % 60, 's');
  if (s < 86_400)
    return pair(Math.floor(s / 3600), 'h', Math.floor((s % 3600) / 60), 'm');
  return pair(Math.floor(s / 86_400), 'd', Math.floor((s % 86_400) / 3600), 'h');
}

function pair(big: number, bigUnit: string, small: number, smallUnit: string): string {
  return small ? `${big} ${bigUnit} ${small} ${smallUnit}` : `${big} ${bigUnit}`;
}

/** in 12 min, 3 h ago, now */
export function relative(at: number, now: number): string {
  const ms = Math.abs(at - now);
  if (ms < 5 * SECOND) return 'now';
  const text =
    ms < MINUTE
      ? `${Math.round(ms / SECOND)} s`
      : ms < HOUR
        ? `${Math.round(ms / MINUTE)} min`
        : ms < 2 * DAY
          ? `${Math.round(ms / HOUR)} h`
          : `${Math.round(ms / DAY)} days`;
  return at > now ? `in ${text}` : `${text} ago`;
}

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'] as const;

/** 128 MB, 4 GB, 1.5 GB: decimal units, as agents are registered with. */
export function bytes(count: number): string {
  let value = count;
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = value < 10 && unit > 0 && value % 1 >= 0.05 ? 1 : 0;
  return `${value.toFixed(digits)} ${UNITS[unit]}`;
}

/** 2, 0.1: cores from thousandths */
export function cores(millis: number): string {
  return String(Math.round(millis) / 1000);
}

export function percent(fraction: number): string {
  return `${Math.round(fraction * 100)} %`;
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString('en')} ${count === 1 ? one : many}`;
}

/** "timed_out" -> "timed out" */
export function words(code: string): string {
  return code.replaceAll('_', ' ');
}
