/** Where a dragged run would stand. Geometry and rules only; no DOM, no fetch. */

import { snapTo } from '../../core/time';
import type { Placed } from './layout';
import { isPassed } from './passed';

export type DragMode = 'move' | 'resize';

export interface Target {
  readonly start: number;
  readonly end: number;
  readonly row: string;
}

/** The place of a run moved by `byMs`, on a round minute of the wall clock. */
export function movedBy(
  from: Target,
  byMs: number,
  stepMs: number,
  zone: string,
  row: string = from.row,
): Target {
  if (byMs === 0) return { ...from, row };
  const start = snapTo(from.start + byMs, stepMs, zone);
  return { start, end: start + (from.end - from.start), row };
}

/** The place of a run whose end was pulled by `byMs`: at least one step long. */
export function resizedBy(
  from: Target,
  byMs: number,
  stepMs: number,
  zone: string,
): Target {
  if (byMs === 0) return from;
  const shortest = Math.min(stepMs, from.end - from.start);
  const end = Math.max(snapTo(from.end + byMs, stepMs, zone), from.start + shortest);
  return { ...from, end };
}

const EDGE_PX = 48;
const MAX_SPEED_PX = 18;

/** Pixels per drawn frame to scroll when the pointer is near an edge: negative is back. */
export function edgeSpeed(at: number, sizePx: number): number {
  if (at < EDGE_PX)
    return -Math.ceil(MAX_SPEED_PX * Math.min(1, (EDGE_PX - at) / EDGE_PX));
  if (at > sizePx - EDGE_PX) {
    return Math.ceil(MAX_SPEED_PX * Math.min(1, (at - sizePx + EDGE_PX) / EDGE_PX));
  }
  return 0;
}

const LIVE: readonly string[] = [
  'admitted',
  'starting',
  'running',
  'suspended',
  'stopping',
];

/** Why this one cannot be dragged; null when it can. */
export function refusal(placed: Placed, mode: DragMode = 'move'): string | null {
  const { end_movable, occurrence } = placed.item;
  if (mode === 'resize' && end_movable && occurrence) return null;
  if (placed.item.movable && placed.state === 'planned') return null;
  if (LIVE.includes(placed.state)) {
    return `${placed.item.agent} is ${placed.state}: stop it, or move its next run.`;
  }
  if (placed.state === 'queued') {
    return `${placed.item.agent} is waiting already: it starts as soon as it can.`;
  }
  if (placed.state === 'planned') {
    return `This run of ${placed.item.agent} cannot be moved.`;
  }
  if (isPassed(placed.state)) {
    return `${placed.item.agent} did not run then: ${placed.item.why ?? placed.state}.`;
  }
  return `This run of ${placed.item.agent} is over: choose “Run again” instead.`;
}
