/** What a live change of a run means for the timeline. */

import type { Group, RunDelta, TimelineItem } from '../../api/types';
import { isFinal } from '../../core/run_state';
import { iso } from '../../core/time';
import type { Placed } from './layout';

/** The row of what has no node yet, as the server calls it. */
export const UNPLACED = 'unplaced';

const DEFAULT_MS = 60_000; // how long a run is drawn when nobody knows better

/** Where a new run belongs when the timeline is grouped this way; null: ask the server. */
export function rowOf(delta: RunDelta, group: Group): string | null {
  if (group === 'agent') return delta.agent;
  if (group === 'priority') return delta.priority ?? null;
  if (group === 'node') return delta.node ?? UNPLACED;
  return null;
}

/** A run that is known keeps its start: later news repeat only when it was due. */
function beginOf(delta: RunDelta, known: Placed | undefined): string {
  if (delta.started_at) return delta.started_at;
  if (known?.item.run && known.state !== 'queued') return known.item.start;
  return delta.due_at ?? known?.item.start ?? delta.at;
}

/** Its end, or when it will probably end: never before now. */
function endOf(
  delta: RunDelta,
  known: Placed | undefined,
  start: number,
  now: number,
): number {
  const ended = delta.ended_at ?? (isFinal(delta.state) ? delta.at : null);
  const expectedMs = known ? known.end - known.start : DEFAULT_MS;
  const end = ended ? Date.parse(ended) : Math.max(start + expectedMs, now);
  return Math.max(end, start + 1000);
}

/** What a run takes over from the planned occurrence it came from, or from its former self. */
function inherited(known: Placed | undefined): Pick<TimelineItem, Kept> {
  return {
    occurrence: known?.item.occurrence ?? null,
    schedule: known?.item.schedule ?? null,
    moved: known?.item.moved ?? false,
    repeating: known?.item.repeating ?? false,
    priority: known?.item.priority ?? 'medium',
  };
}

/** Its deadlines go with it until something else is told. */
function deadlinesOf(known: Placed | undefined): Partial<TimelineItem> {
  if (!known) return {};
  const { start_by_at, finish_by_at, at_risk, deadline_missed } = known.item;
  const kept = { start_by_at, finish_by_at, at_risk, deadline_missed };
  return Object.fromEntries(
    Object.entries(kept).filter(([, value]) => value !== undefined),
  );
}
type Kept = 'occurrence' | 'schedule' | 'moved' | 'repeating' | 'priority';

/** News that leave the state of a run alone, as far as a delta tells any. */
export function toldOf(delta: RunDelta): Partial<TimelineItem> {
  const { progress, start_by_at, finish_by_at, at_risk, deadline_missed } = delta;
  return {
    ...(progress === undefined || progress === null ? {} : { progress }),
    ...(start_by_at === undefined ? {} : { start_by_at }),
    ...(finish_by_at === undefined ? {} : { finish_by_at }),
    ...(at_risk === undefined ? {} : { at_risk }),
    ...(deadline_missed === undefined ? {} : { deadline_missed }),
  };
}

/** Its end edge can be dragged while it runs. */
const STARTED: readonly string[] = ['running', 'suspended'];

/** The latest likely end keeps its distance from the start, which may be later now. */
function latestOf(
  delta: RunDelta,
  known: Placed | undefined,
  start: number,
): string | null {
  const latest = known?.item.end_p95;
  if (!known || !latest || isFinal(delta.state)) return null;
  return iso(start + (Date.parse(latest) - known.start));
}

/**
 * The item as it stands after the change. `known` is the run itself or, when it has just
 * begun, the planned occurrence it came from. Null when we cannot tell its row.
 */
export function itemAfter(
  delta: RunDelta,
  known: Placed | undefined,
  group: Group,
  now: number,
  endless = false,
): TimelineItem | null {
  const placedOn = group === 'node' ? delta.node : null;
  const row = placedOn ?? known?.item.row ?? rowOf(delta, group);
  if (!row) return null;
  const kept = inherited(known);
  const start = Date.parse(beginOf(delta, known));
  return {
    ...kept,
    id: delta.uid,
    run: delta.uid,
    occurrence: delta.occurrence ?? kept.occurrence,
    schedule: delta.schedule ?? kept.schedule,
    row,
    agent: delta.agent,
    start: iso(start),
    end: iso(endOf(delta, known, start, now)),
    state: delta.state,
    movable: false,
    why: delta.reason ?? null,
    priority: delta.priority ?? kept.priority,
    progress: known?.item.progress ?? null,
    end_p95: latestOf(delta, known, start),
    end_movable: !endless && STARTED.includes(delta.state),
    ...deadlinesOf(known),
    ...toldOf(delta),
  };
}
