/** Lanes of the queue, and where a run goes in its own. Pure. */

import type { Priority, QueueEntry } from '../api/types';
import { clock, day, moment } from '../core/format';

const LANES: readonly Priority[] = ['critical', 'high', 'medium', 'low', 'background'];

export interface Lane {
  readonly priority: Priority;
  readonly entries: readonly QueueEntry[];
}

export function lanesOf(
  items: readonly QueueEntry[],
  held: readonly QueueEntry[],
): Lane[] {
  return LANES.map((priority) => ({
    priority,
    entries: [...items, ...held].filter((entry) => entry.priority === priority),
  })).filter((lane) => lane.entries.length > 0);
}

export interface Place {
  readonly run: string;
  readonly before?: string;
  readonly after?: string;
}

/** One up (-1) or down (1) among those of the lane that are not held; null at an end. */
export function stepped(
  lane: readonly QueueEntry[],
  uid: string,
  by: -1 | 1,
): Place | null {
  const line = lane.filter((entry) => !entry.held);
  const at = line.findIndex((entry) => entry.uid === uid);
  const beside = at < 0 ? undefined : line[at + by];
  if (!beside) return null;
  return by < 0 ? { run: uid, before: beside.uid } : { run: uid, after: beside.uid };
}

/** Dropped on another of its lane: it takes that one's place. */
export function dropped(
  lane: readonly QueueEntry[],
  uid: string,
  on: string,
): Place | null {
  const line = lane.filter((entry) => !entry.held).map((entry) => entry.uid);
  const [from, to] = [line.indexOf(uid), line.indexOf(on)];
  if (from < 0 || to < 0 || from === to) return null;
  return to < from ? { run: uid, before: on } : { run: uid, after: on };
}

/** "starts about 14:05, by 14:20 at the latest"; `latest` NaN: nobody knows. */
export function sayStart(
  about: number,
  latest: number,
  zone: string,
  now: number,
): string {
  if (about - now < 60_000 && !(latest - now >= 60_000)) return 'starts now';
  const at = (instant: number) =>
    day(instant, zone) === day(now, zone)
      ? clock(instant, zone)
      : moment(instant, zone, now);
  const first = about - now < 60_000 ? 'starts now' : `starts about ${at(about)}`;
  if (!(latest - about >= 60_000)) return first;
  const sameDay = day(latest, zone) === day(about, zone);
  const by = sameDay ? clock(latest, zone) : at(latest);
  return `${first}, by ${by} at the latest`;
}
