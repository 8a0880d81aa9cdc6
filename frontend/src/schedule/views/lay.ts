/** Where the calendar is to put things: wall times, and what goes to the top of a day. */

import type { DayBand } from '../../api/grid';
import { DAY, HOUR, MINUTE } from '../../core/time';
import type { Entry } from './grid.svelte';
import { dateOf, wallText, type Face, type GridName } from './period';

export interface Laid {
  readonly id: string;
  readonly start: string;
  readonly end: string;
  readonly allDay?: boolean;
  readonly display?: 'background';
}

const LEAST_MS = 25 * MINUTE; // a shorter run is drawn this high, so that it can be read
const LONG_MS = 20 * HOUR; // what lasts longer stands above the hours

export function layOut(
  view: GridName,
  entries: readonly Entry[],
  bands: readonly DayBand[],
  days: readonly number[],
  face: Face,
  zone: string,
): Laid[] {
  const hourly = view === 'day' || view === 'week';
  const begin = days[0] ?? 0;
  const runs = entries.map(({ id, start, end, endless }) => {
    const from = face.toWall(Math.max(start, begin));
    const long = hourly && (endless || end - start >= LONG_MS);
    // In a month or a list a run stands on the day it began.
    const last = hourly ? Math.max(face.toWall(end), from + LEAST_MS) : from + MINUTE;
    return {
      id,
      start: wallText(from),
      end: wallText(long ? face.toWall(end) : last),
      ...(long ? { allDay: true } : {}),
    };
  });
  const busy = bands.map((band) => {
    const day = Date.parse(`${band.day}Z`);
    const end = wallText(hourly ? day + DAY : day + MINUTE);
    return {
      id: `band:${band.agent ?? ''}:${band.day}`,
      start: wallText(day),
      end,
      ...(hourly ? { allDay: true } : {}),
    };
  });
  return [...(hourly ? backgrounds(view, days, face, zone) : []), ...busy, ...runs];
}

/** One background a day: the heat of the machines. */
function backgrounds(
  view: GridName,
  days: readonly number[],
  face: Face,
  zone: string,
): Laid[] {
  return days.map((day) => {
    const wall =
      view === 'day' ? face.toWall(day) : Date.parse(`${dateOf(day, zone)}Z`);
    const end = wall + (view === 'day' ? 25 * HOUR : DAY);
    return {
      id: `heat:${day}`,
      start: wallText(wall),
      end: wallText(end),
      display: 'background',
    };
  });
}
