/** The calendar's grids: days with their runs, and a year of days. */

import { request } from './client';
import type { Timeline, TimelineBand, TimelineItem, TimelineRow } from './types';

/** Many runs of an agent on one day; or, without an agent, all that is too much. */
export interface DayBand {
  readonly agent: string | null;
  readonly agents?: number;
  readonly day: string; // 2026-11-23
  readonly from: string;
  readonly to: string;
  readonly count: number;
  readonly failed: number;
  readonly live: number;
  readonly planned: number;
}

/** What a change of the clocks does to a rule. */
export interface ClockRemark {
  readonly schedule: string;
  readonly agent: string;
  readonly said: string;
}

export interface DayGrid {
  readonly items: readonly TimelineItem[];
  readonly bands: readonly DayBand[];
  readonly capped: boolean;
  readonly clocks: readonly ClockRemark[];
  readonly now: string;
}

export interface GridQuery {
  readonly from: string;
  readonly to: string;
  readonly timezone: string;
  readonly singly: number;
  readonly q?: string;
}

export const dayGrid = (query: GridQuery, signal: AbortSignal): Promise<DayGrid> =>
  request('GET', 'timeline/grid/', { query: { ...query }, signal });

export interface YearDay {
  readonly day: string;
  readonly count: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly other: number;
  readonly live: number;
  readonly planned: number;
}

export const yearDays = (query: {
  year: number;
  timezone: string;
  q?: string;
}): Promise<{ readonly days: readonly YearDay[] }> =>
  request('GET', 'timeline/days/', { query });

/** The grid's answer in the form that the schedule's store takes in. */
export function asTimeline(grid: DayGrid): Timeline {
  const agents = new Set([
    ...grid.items.map((item) => item.agent),
    ...grid.bands.flatMap((band) => band.agent ?? []),
  ]);
  const rows: TimelineRow[] = [...agents].map((id) => ({ id, title: id }));
  const bands: TimelineBand[] = grid.bands.map((band) => ({
    row: band.agent ?? '',
    from: band.from,
    to: band.to,
    count: band.count,
    failed: band.failed,
    label: `${band.count} runs`,
  }));
  const { items, capped, now } = grid;
  return { rows, items, bands, capped, version: 0, now };
}
