/** What the timeline shows: a snapshot from the server, then single live changes. */

import { SvelteMap } from 'svelte/reactivity';
import * as api from '../api/endpoints';
import { isAbort, sayError } from '../api/errors';
import type {
  Capacity,
  Delta,
  Group,
  RunDelta,
  Timeline,
  TimelineBand,
  TimelineItem,
  TimelineRow,
} from '../api/types';
import type { TimelineWindow } from '../api/timeline_parts';
import { clock } from '../core/clock.svelte';
import { DAY, iso } from '../core/time';
import { fleet } from '../live/fleet.svelte';
import { TimelineIndex, place, type Placed } from './timeline/layout';
import { itemAfter, toldOf } from './timeline/live';
import { passedItem } from './timeline/passed';

const MAX_ITEMS = 10_000;
const LONGEST_MS = 399 * DAY; // what the server answers in one go
const CAPACITY_POINTS = 600;

export interface Wanted {
  readonly from: number;
  readonly to: number;
  readonly group: Group;
  readonly q: string;
  /** Another question than the timeline's, and what tells its answers apart. */
  readonly kind?: string;
  readonly ask?: (signal: AbortSignal) => Promise<Timeline>;
}

export class TimelineStore {
  rows = $state.raw<readonly TimelineRow[]>([]);
  bands = $state.raw<ReadonlyMap<string, readonly TimelineBand[]>>(new Map());
  windows = $state.raw<readonly TimelineWindow[]>([]);
  capacity = $state.raw<Capacity | null>(null);
  /** Rises when a row's runs changed place; only that row is drawn again. */
  revisions = new SvelteMap<string, number>();
  /** Rises when a row became higher. */
  heights = $state(0);
  /** Rises whenever anything changed. */
  changes = $state(0);
  phase = $state<'loading' | 'ready' | 'failed'>('loading');
  refreshing = $state(false);
  error = $state('');
  capped = $state(false);
  /** The server's clock when it took the snapshot we show. */
  snapshotAt = 0;

  readonly index = new TimelineIndex();
  #wanted: Wanted | null = null;
  #recent = new Map<string, RunDelta>();
  #heights = new Map<string, number>();
  #asking: AbortController | null = null;
  #neededSince = 0;

  get(id: string): Placed | undefined {
    return this.index.get(id);
  }

  async load(wanted: Wanted): Promise<void> {
    this.#asking?.abort();
    const asking = new AbortController();
    this.#asking = asking;
    const former = this.#wanted;
    this.#wanted = wanted = atMost(wanted, LONGEST_MS);
    const another = former?.group !== wanted.group || former.kind !== wanted.kind;
    if (another || this.phase === 'failed') this.phase = 'loading';
    this.refreshing = true;
    try {
      await this.#fetch(wanted, asking.signal);
      this.phase = 'ready';
      this.error = '';
    } catch (error) {
      if (isAbort(error)) return;
      this.error = sayError(error);
      if (this.phase === 'loading') this.phase = 'failed'; // else the old stays in sight
      this.refreshing = false;
      return;
    }
    this.refreshing = false;
    const isOld = this.snapshotAt < this.#neededSince;
    this.#neededSince = 0; // one more time at most, whatever the clocks say
    if (isOld) await this.load(wanted);
    else void this.#loadCapacity(wanted, asking.signal);
  }

  async reload(): Promise<void> {
    if (this.#wanted) await this.load(this.#wanted);
  }

  /** What we show must be at least this new; what is on its way is waited for. */
  async need(since: number): Promise<void> {
    const now = since === Infinity ? this.snapshotAt + 1 : since;
    this.#neededSince = Math.max(this.#neededSince, now);
    if (!this.refreshing && this.snapshotAt < this.#neededSince) await this.reload();
  }

  async #fetch(wanted: Wanted, signal: AbortSignal): Promise<void> {
    const answer = await (wanted.ask?.(signal) ?? api.timeline(query(wanted), signal));
    clock.learn(answer.now);
    this.snapshotAt = Date.parse(answer.now);
    this.index.replace([
      ...answer.items,
      ...(answer.passed_over ?? []).map(passedItem),
    ]);
    this.rows = answer.rows;
    this.bands = byRow(answer.bands);
    this.windows = answer.windows ?? [];
    this.capped = answer.capped;
    this.#replay(Date.parse(answer.now), wanted.group);
    this.#heights.clear();
    this.#show(new Set(answer.rows.map((row) => row.id)));
    this.heights += 1;
    this.changes += 1;
  }

  async #loadCapacity(wanted: Wanted, signal: AbortSignal): Promise<void> {
    const spanS = (wanted.to - wanted.from) / 1000;
    const step_s = Math.max(1, Math.ceil(spanS / CAPACITY_POINTS));
    try {
      const query = { from: iso(wanted.from), to: iso(wanted.to), step_s };
      this.capacity = await api.capacity(query, signal);
    } catch (error) {
      if (!isAbort(error)) this.capacity = null;
    }
  }

  /** A snapshot may be older than what the feed has told us already. */
  #replay(snapshotAt: number, group: Group): void {
    for (const [uid, delta] of this.#recent) {
      if (Date.parse(delta.at) < snapshotAt) this.#recent.delete(uid);
      else this.#applyRun(delta, group);
    }
  }

  /** Takes in what the feed said. True when only a new snapshot can show all of it. */
  apply(deltas: readonly Delta[]): boolean {
    const group = this.#wanted?.group ?? 'agent';
    const touched = new Set<string>();
    for (const delta of deltas) {
      for (const run of delta.runs ?? []) {
        if (!run.state) {
          const row = this.#applyNews(run);
          if (row) touched.add(row);
          continue; // news about it that leave its state alone
        }
        this.#recent.set(run.uid, run);
        for (const row of this.#applyRun(run, group)) touched.add(row);
      }
    }
    this.#show(touched);
    const known = new Set(this.rows.map((row) => row.id));
    return (
      deltas.some((delta) => isNews(delta, group, known)) ||
      [...touched].some((row) => !known.has(row))
    );
  }

  /** Draws these rows again, and all of them when one became higher. */
  #show(rows: ReadonlySet<string>): void {
    if (rows.size === 0) return;
    let higher = false;
    for (const row of rows) {
      this.#touch(row);
      const heightPx = this.index.heightPx(row);
      higher ||= heightPx !== this.#heights.get(row);
      this.#heights.set(row, heightPx);
    }
    if (higher) this.heights += 1;
    this.changes += 1;
  }

  #applyNews(delta: RunDelta): string | null {
    const known = this.index.get(delta.uid);
    const told = toldOf(delta);
    if (!known || Object.keys(told).length === 0) return null;
    const item = { ...known.item, ...told };
    this.index.amend({ ...known, item });
    return item.row;
  }

  /** Rows that have to be drawn again. A change of state alone packs no row anew. */
  #applyRun(delta: RunDelta, group: Group): readonly string[] {
    const planned = delta.occurrence ? this.index.get(delta.occurrence) : undefined;
    const known = this.index.get(delta.uid);
    const endless = fleet.agents.get(delta.agent)?.kind === 'persistent';
    const item = itemAfter(delta, known ?? planned, group, clock.exact(), endless);
    if (!item || !this.#isInRange(item)) return [];
    const touched: string[] = [];
    if (planned) {
      const row = this.index.remove(planned.id);
      if (row) touched.push(row);
    }
    const next = place(item);
    if (known && samePlace(known, next)) {
      this.index.amend({ ...next, start: known.start, end: known.end });
      return [...touched, next.item.row];
    }
    return [...touched, ...this.index.put(next)];
  }

  #isInRange(item: TimelineItem): boolean {
    const wanted = this.#wanted;
    if (!wanted) return false;
    return Date.parse(item.start) < wanted.to && Date.parse(item.end) > wanted.from;
  }

  #touch(row: string): void {
    this.revisions.set(row, (this.revisions.get(row) ?? 0) + 1);
  }

  /** Shows a run elsewhere before the server has agreed; the answer puts it back. */
  showAt(id: string, start: number, end: number, row: string): () => void {
    const before = this.index.get(id);
    if (!before) return () => undefined;
    const item = { ...before.item, start: iso(start), end: iso(end), row, moved: true };
    this.#put(place(item));
    return () => this.#put(before);
  }

  #put(placed: Placed): void {
    this.#show(new Set(this.index.put(placed)));
  }
}

function query(wanted: Wanted): api.TimelineQuery {
  return {
    from: iso(wanted.from),
    to: iso(wanted.to),
    group: wanted.group,
    max_items: MAX_ITEMS,
    ...(wanted.q ? { q: wanted.q } : {}),
  };
}

/** What a delta tells that is not a run on a row we have. */
function isNews(delta: Delta, group: Group, rows: ReadonlySet<string>): boolean {
  if (delta.schedules?.length) return true;
  return group === 'agent' && (delta.agents ?? []).some((it) => !rows.has(it.agent_id));
}

function samePlace(a: Placed, b: Placed): boolean {
  return (
    a.item.row === b.item.row &&
    Math.abs(a.start - b.start) < 1000 &&
    Math.abs(a.end - b.end) < 1000
  );
}

function byRow<T extends { readonly row: string }>(
  bands: readonly T[],
): Map<string, T[]> {
  const found = new Map<string, T[]>();
  for (const band of bands) {
    const list = found.get(band.row) ?? [];
    list.push(band);
    found.set(band.row, list);
  }
  return found;
}

/** The middle of a stretch that is too long. */
function atMost(wanted: Wanted, longestMs: number): Wanted {
  const over = Math.max(0, wanted.to - wanted.from - longestMs) / 2;
  return { ...wanted, from: wanted.from + over, to: wanted.to - over };
}
