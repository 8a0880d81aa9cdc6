/** Ticks of the time axis on the wall clock of a zone, honest about summer time. */

import { clock, day } from '../../core/format';
import {
  addDays,
  DAY,
  HOUR,
  instantOf,
  MINUTE,
  offsetMs,
  startOfDay,
  wallClock,
} from '../../core/time';

export interface Tick {
  readonly at: number;
  readonly label: string;
  readonly major: boolean; // midnight
  readonly mark: 'repeated' | 'skipped' | null; // the clocks change here
}

const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720].map((m) => m * MINUTE);
const QUARTER = 15 * MINUTE;

export const WEEK = 7 * DAY;
export const MONTH = 30 * DAY; // a step of this much means the first of each month

/** The finest step whose labels do not touch; days, weeks, months when hours do not fit. */
export function tickStep(pxPerMs: number, minPx: number): number {
  const step = STEPS.find((candidate) => candidate * pxPerMs >= minPx);
  if (step) return step;
  return [DAY, WEEK].find((candidate) => candidate * pxPerMs >= minPx) ?? MONTH;
}

export function ticks(from: number, to: number, step: number, zone: string): Tick[] {
  if (step >= MONTH) return monthTicks(from, to, zone);
  return step >= DAY ? dayTicks(from, to, step, zone) : hourTicks(from, to, step, zone);
}

/** The upper line of the axis: days over hours, months over weeks. */
export function upper(from: number, to: number, step: number, zone: string): Tick[] {
  return step > DAY ? monthTicks(from, to, zone) : dayTicks(from, to, DAY, zone);
}

function monthTicks(from: number, to: number, zone: string): Tick[] {
  const found: Tick[] = [];
  const first = new Date(from + offsetMs(from, zone));
  for (let month = first.getUTCMonth(); ; month += 1) {
    const wall = Date.UTC(first.getUTCFullYear(), month, 1);
    const at = instantOf(wall, zone);
    if (at >= to) return found;
    const name = { month: 'short', year: 'numeric', timeZone: 'UTC' } as const;
    const label = new Date(wall).toLocaleDateString('en-GB', name);
    found.push({ at, label, major: new Date(wall).getUTCMonth() === 0, mark: null });
  }
}

function dayTicks(from: number, to: number, step: number, zone: string): Tick[] {
  const found: Tick[] = [];
  let at = startOfDay(from, zone);
  const byWeek = step > DAY;
  if (byWeek) at = addDays(at, (8 - wallClock(at, zone).getUTCDay()) % 7, zone);
  for (; at < to; at = addDays(at, byWeek ? 7 : 1, zone)) {
    const label = byWeek ? String(wallClock(at, zone).getUTCDate()) : day(at, zone);
    found.push({ at, label, major: !byWeek, mark: null });
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
