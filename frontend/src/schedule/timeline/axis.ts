/** Ticks of the time axis on the wall clock of a zone, honest about summer time. */

import { clock, day } from '../../core/format';
import { addDays, DAY, HOUR, MINUTE, offsetMs, startOfDay } from '../../core/time';

export interface Tick {
  readonly at: number;
  readonly label: string;
  readonly major: boolean; // midnight
  readonly mark: 'repeated' | 'skipped' | null; // the clocks change here
}

const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720].map((m) => m * MINUTE);
const QUARTER = 15 * MINUTE;

/** The finest step whose labels do not touch; a day or a week when hours do not fit. */
export function tickStep(pxPerMs: number, minPx: number): number {
  const step = STEPS.find((candidate) => candidate * pxPerMs >= minPx);
  if (step) return step;
  return DAY * pxPerMs >= minPx ? DAY : 7 * DAY;
}

export function ticks(from: number, to: number, step: number, zone: string): Tick[] {
  return step >= DAY ? dayTicks(from, to, step, zone) : hourTicks(from, to, step, zone);
}

/** The starts of the days in sight, for the upper line of the axis. */
export function days(from: number, to: number, zone: string): Tick[] {
  return dayTicks(from, to, DAY, zone);
}

function dayTicks(from: number, to: number, step: number, zone: string): Tick[] {
  const found: Tick[] = [];
  for (let at = startOfDay(from, zone); at < to; at = addDays(at, 1, zone)) {
    const weekday = new Date(at + offsetMs(at, zone)).getUTCDay();
    if (step > DAY && weekday !== 1) continue;
    found.push({ at, label: day(at, zone), major: true, mark: null });
  }
  return found;
}

/**
 * Walks real time in quarter hours (or finer) and keeps the instants at which the wall
 * clock shows a multiple of the step: an hour that comes twice gets two ticks, one that
 * is left out gets none, and the first tick after such a change is marked.
 */
function hourTicks(from: number, to: number, step: number, zone: string): Tick[] {
  const found: Tick[] = [];
  const stride = Math.min(step, QUARTER);
  const seenTo = from - HOUR * 3; // look back, so that a mark does not depend on the window
  let lastOffset = offsetMs(seenTo, zone);
  let change = 0;
  for (let at = Math.floor(seenTo / stride) * stride; at < to; at += stride) {
    const offset = offsetMs(at, zone);
    if (offset !== lastOffset) change = offset - lastOffset;
    lastOffset = offset;
    const wall = at + offset;
    if (wall % step !== 0) continue;
    const mark = change === 0 ? null : change > 0 ? 'skipped' : 'repeated';
    change = 0;
    if (at < from - step) continue;
    found.push({ at, label: label(at, step, zone), major: wall % DAY === 0, mark });
  }
  return found;
}

function label(at: number, step: number, zone: string): string {
  const text = clock(at, zone);
  return step >= HOUR ? String(Number(text.slice(0, 2))) : text;
}
