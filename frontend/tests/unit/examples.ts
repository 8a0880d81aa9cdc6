import type { TimelineItem } from '../../src/api/types';

const T = Date.parse('2026-11-23T00:00:00Z');

/** A run of one row, from and to in minutes after midnight. */
export function item(
  id: string,
  fromMin: number,
  toMin: number,
  more: Partial<TimelineItem> = {},
): TimelineItem {
  return {
    id,
    run: null,
    occurrence: id,
    schedule: 's1',
    row: 'row',
    agent: 'embedder',
    start: new Date(T + fromMin * 60_000).toISOString(),
    end: new Date(T + toMin * 60_000).toISOString(),
    state: 'planned',
    moved: false,
    repeating: true,
    movable: true,
    why: null,
    priority: 'medium',
    ...more,
  };
}
