/** Which runs a selection means. Geometry and rules only; no DOM, no fetch. */

import type { TimelineIndex } from './layout';
import { isPassed } from './passed';
import { LANE_PX, LEAST_BAR_PX, type Placed } from './layout';
import { rowsInSight } from './window';

/** A rectangle of the canvas: instants across, pixels below the head down. */
export interface Box {
  readonly from: number;
  readonly to: number;
  readonly topPx: number;
  readonly bottomPx: number;
}

/** All runs that a rectangle touches. */
export function inBox(
  index: TimelineIndex,
  rowIds: readonly string[],
  tops: Float64Array,
  box: Box,
  pxPerMs: number,
): string[] {
  const [first, last] = rowsInSight(tops, box.topPx, box.bottomPx - box.topPx);
  const leastMs = LEAST_BAR_PX / pxPerMs; // a short run is drawn wider than it is
  const found: string[] = [];
  for (let at = first; at < last; at += 1) {
    const row = rowIds[at];
    if (row === undefined) continue;
    for (const placed of index.visible(row, box.from - leastMs, box.to)) {
      const top = (tops[at] ?? 0) + 3 + placed.lane * LANE_PX;
      const touches = top < box.bottomPx && top + LANE_PX - 2 > box.topPx;
      const reaches = Math.max(placed.end, placed.start + leastMs) > box.from;
      if (touches && reaches && !isPassed(placed.state)) found.push(placed.id);
    }
  }
  return found;
}

/** What stands in one row between two of its runs, both included; else only the second. */
export function between(
  index: TimelineIndex,
  one: string | null,
  other: string,
): string[] {
  const [a, b] = [one ? index.get(one) : undefined, index.get(other)];
  if (!a || !b || a.item.row !== b.item.row) return [other];
  const from = Math.min(a.start, b.start);
  const to = Math.max(a.start, b.start);
  return index
    .visible(a.item.row, from, to + 1)
    .filter((it) => it.start >= from && it.start <= to && !isPassed(it.state))
    .map((placed) => placed.id);
}

const LIVE: readonly string[] = [
  'admitted',
  'starting',
  'running',
  'suspended',
  'stopping',
];

/** What can be done with these: ids for the server, by what they are good for. */
export interface Sorted {
  readonly movable: readonly string[]; // occurrences
  readonly schedules: readonly string[]; // each once
  readonly live: readonly string[]; // runs to stop
  readonly queued: readonly string[]; // runs to cancel
}

export function sorted(chosen: readonly Placed[]): Sorted {
  const runs = (of: (placed: Placed) => boolean) =>
    chosen.filter(of).flatMap(({ item }) => (item.run ? [item.run] : []));
  return {
    movable: chosen
      .filter(({ item, state }) => item.movable && state === 'planned')
      .flatMap(({ item }) => (item.occurrence ? [item.occurrence] : [])),
    schedules: [
      ...new Set(chosen.flatMap(({ item }) => (item.schedule ? [item.schedule] : []))),
    ],
    live: runs(({ state }) => LIVE.includes(state)),
    queued: runs(({ state }) => state === 'queued'),
  };
}
