/**
 * All runs in sight of the timeline, by row, packed into lanes where they overlap.
 * Changed one at a time: a live update touches one row, never the whole.
 */

import type { ItemState, TimelineItem } from '../../api/types';
import { isPassed } from './passed';
import { lowerBound } from './window';

export interface Placed {
  readonly id: string;
  readonly item: TimelineItem;
  readonly start: number;
  readonly end: number;
  readonly state: ItemState;
  readonly lane: number;
}

export const LANE_PX = 24;
export const ROW_PX = 30;
const MAX_LANES = 8; // what overlaps more than that is drawn over the last lane
export const LEAST_BAR_PX = 5;
const MIN_MS = 1000;

interface Row {
  list: Placed[]; // by start
  lanes: number; // as many as it ever had: rows that shrink would jump about
  longestMs: number;
  dirty: boolean;
}

export function place(item: TimelineItem): Placed {
  const start = Date.parse(item.start);
  const end = Math.max(Date.parse(item.end), start + MIN_MS);
  return { id: item.id, item, start, end, state: item.state, lane: 0 };
}

export class TimelineIndex {
  #rows = new Map<string, Row>();
  #byId = new Map<string, Placed>();

  get size(): number {
    return this.#byId.size;
  }

  get(id: string): Placed | undefined {
    return this.#byId.get(id);
  }

  all(): IterableIterator<Placed> {
    return this.#byId.values();
  }

  replace(items: readonly TimelineItem[]): void {
    this.#rows.clear();
    this.#byId.clear();
    for (const item of items) this.put(place(item));
  }

  /** Adds it, or takes the place of the one with its id; returns the rows it touched. */
  put(placed: Placed): readonly string[] {
    const before = this.#byId.get(placed.id);
    const touched = before
      ? [this.remove(before.id), placed.item.row]
      : [placed.item.row];
    this.#byId.set(placed.id, placed);
    const row = this.#row(placed.item.row);
    row.list.push(placed);
    row.dirty = true;
    return touched.filter((id): id is string => id !== null);
  }

  /** Takes the place of the one with its id, which must stand at the same time. */
  amend(placed: Placed): void {
    const before = this.#byId.get(placed.id);
    const list = before && this.#rows.get(before.item.row)?.list;
    if (!before || !list) return;
    const at = list.findIndex((other) => other.id === placed.id);
    const next = { ...placed, lane: before.lane };
    list[at] = next;
    this.#byId.set(placed.id, next);
  }

  remove(id: string): string | null {
    const placed = this.#byId.get(id);
    if (!placed) return null;
    this.#byId.delete(id);
    const row = this.#row(placed.item.row);
    const at = row.list.findIndex((other) => other.id === id);
    if (at >= 0) row.list.splice(at, 1);
    row.dirty = true;
    return placed.item.row;
  }

  lanes(rowId: string): number {
    return this.#tidy(rowId)?.lanes ?? 1;
  }

  heightPx(rowId: string): number {
    return Math.max(ROW_PX, this.lanes(rowId) * LANE_PX + 6);
  }

  /** Those of a row that touch [from, to), in order of their start. */
  visible(rowId: string, from: number, to: number): Placed[] {
    const row = this.#tidy(rowId);
    if (!row) return [];
    const { list } = row;
    const found: Placed[] = [];
    const startOf = (index: number) => list[index]?.start ?? 0;
    let at = lowerBound(list.length, from - row.longestMs, startOf);
    for (; at < list.length; at += 1) {
      const placed = list[at];
      if (!placed || placed.start >= to) break;
      if (placed.end > from) found.push(placed);
    }
    return found;
  }

  /** The neighbour in time within the row: -1 the one before, +1 the one after. */
  neighbour(id: string, step: -1 | 1): Placed | undefined {
    const placed = this.#byId.get(id);
    const list = placed && this.#tidy(placed.item.row)?.list;
    if (!placed || !list) return undefined;
    return list[list.findIndex((other) => other.id === id) + step];
  }

  /** The one of a row that starts nearest to an instant. */
  nearest(rowId: string, at: number): Placed | undefined {
    const list = this.#tidy(rowId)?.list ?? [];
    const next = lowerBound(list.length, at, (index) => list[index]?.start ?? 0);
    const [before, after] = [list[next - 1], list[next]];
    if (!before || !after) return before ?? after;
    return at - before.start < after.start - at ? before : after;
  }

  #row(id: string): Row {
    let row = this.#rows.get(id);
    if (!row) {
      row = { list: [], lanes: 1, longestMs: 0, dirty: false };
      this.#rows.set(id, row);
    }
    return row;
  }

  #tidy(id: string): Row | undefined {
    const row = this.#rows.get(id);
    if (row?.dirty) this.#pack(row);
    return row;
  }

  /** First lane that is free at the start; a row that did not change lanes keeps its objects. */
  #pack(row: Row): void {
    row.list.sort((a, b) => a.start - b.start || (a.id < b.id ? -1 : 1));
    const ends: number[] = [];
    row.longestMs = 0;
    row.list.forEach((placed, index) => {
      row.longestMs = Math.max(row.longestMs, placed.end - placed.start);
      if (isPassed(placed.state)) return; // a mark takes no room
      let lane = ends.findIndex((end) => end <= placed.start);
      if (lane < 0) lane = Math.min(ends.length, MAX_LANES - 1);
      ends[lane] = Math.max(ends[lane] ?? 0, placed.end);
      if (placed.lane === lane) return;
      const moved = { ...placed, lane };
      row.list[index] = moved;
      this.#byId.set(placed.id, moved);
    });
    row.lanes = Math.max(row.lanes, ends.length);
    row.dirty = false;
  }
}

/**
 * Without those that nobody could see: a bar of the same state drawn over its neighbour,
 * because both are narrower than the narrowest bar. What `keeps` says stays in any case.
 */
export function thin(
  bars: readonly Placed[],
  pxPerMs: number,
  leastPx: number,
  keeps: (id: string) => boolean,
): Placed[] {
  const last = new Map<
    number,
    { readonly rightPx: number; readonly state: ItemState }
  >();
  return bars.filter((placed) => {
    const leftPx = placed.start * pxPerMs;
    const rightPx = Math.max(placed.end * pxPerMs, leftPx + leastPx);
    const before = last.get(placed.lane);
    const hidden = before?.state === placed.state && rightPx < before.rightPx + 1.5;
    if (hidden && !keeps(placed.id)) return false;
    last.set(placed.lane, { rightPx, state: placed.state });
    return true;
  });
}

/** The upper edge of each row and, last, the height of all: one more entry than rows. */
export function rowTops(
  rowIds: readonly string[],
  heightPx: (id: string) => number,
): Float64Array {
  const tops = new Float64Array(rowIds.length + 1);
  rowIds.forEach((id, index) => {
    tops[index + 1] = (tops[index] ?? 0) + heightPx(id);
  });
  return tops;
}
