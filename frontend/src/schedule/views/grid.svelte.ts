/** What a grid shows of the schedule's store: where things stand, and apart from that how
 * they are doing. A change of state wakes one item and leaves the calendar's list alone. */

import { SvelteMap } from 'svelte/reactivity';
import type { AgentStatus } from '../../api/types';
import { asTimeline, dayGrid, type ClockRemark, type DayBand } from '../../api/grid';
import { iso } from '../../core/time';
import { isFinal } from '../../core/run_state';
import { fleet } from '../../live/fleet.svelte';
import { filterRows } from '../filter';
import type { TimelineStore } from '../store.svelte';
import type { Placed } from '../timeline/layout';
import { dateOf, SINGLY, type GridName, type Period } from './period';

export interface Entry {
  readonly id: string;
  readonly start: number;
  readonly end: number;
  readonly endless: boolean; // kept running: it has no end to draw
}

export class GridContent {
  /** By id; an item reads its own. */
  readonly placed = new SvelteMap<string, Placed>();
  /** In order of their start; a new list only when something has another place. */
  entries = $state.raw<readonly Entry[]>([]);
  bands = $state.raw<readonly DayBand[]>([]);
  clocks = $state.raw<readonly ClockRemark[]>([]);
  capped = $state(false);

  constructor(private readonly store: TimelineStore) {}

  async load(view: GridName, period: Period, zone: string, q: string): Promise<void> {
    const query = {
      from: iso(period.from),
      to: iso(period.to),
      timezone: zone,
      singly: SINGLY[view],
      ...(q ? { q } : {}),
    };
    await this.store.load({
      ...period,
      group: 'agent',
      q,
      kind: `${view} ${period.from}`,
      ask: async (signal) => {
        const answer = await dayGrid(query, signal);
        this.bands = answer.bands;
        this.clocks = answer.clocks;
        this.capped = answer.capped;
        return asTimeline(answer);
      },
    });
  }

  /** Takes over what the store has now, of what the state chips leave. */
  sync(period: Period, zone: string, state: string | null): void {
    const { index, rows } = this.store;
    const statusOf = (agent: string): AgentStatus | undefined =>
      fleet.agents.get(agent)?.status;
    const left = new Set(
      filterRows(rows, index, 'agent', state, statusOf).map((row) => row.id),
    );
    const banded = new Set(this.bands.map((band) => `${band.agent} ${band.day}`));
    const ids = new Set<string>();
    const entries: Entry[] = [];
    for (const one of index.all()) {
      const shown = !state || left.has(one.item.row);
      if (!shown || one.start >= period.to || one.end <= period.from) continue;
      const first = Math.max(one.start, period.from);
      if (banded.has(`${one.item.agent} ${dateOf(first, zone)}`)) continue;
      ids.add(one.id);
      entries.push(entryOf(one));
      if (this.placed.get(one.id) !== one) this.placed.set(one.id, one);
    }
    for (const id of this.placed.keys()) if (!ids.has(id)) this.placed.delete(id);
    entries.sort((a, b) => a.start - b.start || (a.id < b.id ? -1 : 1));
    if (!sameEntries(this.entries, entries)) this.entries = entries;
  }

  /** Bands that the state chips leave. */
  bandsOf(state: string | null): readonly DayBand[] {
    if (!state) return this.bands;
    return this.bands.filter(
      (band) => band.agent !== null && fleet.agents.get(band.agent)?.status === state,
    );
  }
}

function entryOf({ id, start, end, state, item }: Placed): Entry {
  const kept = fleet.agents.get(item.agent)?.kind === 'persistent';
  return { id, start, end, endless: kept && state !== 'planned' && !isFinal(state) };
}

function sameEntries(a: readonly Entry[], b: readonly Entry[]): boolean {
  return (
    a.length === b.length &&
    a.every((one, index) => {
      const other = b[index];
      return one.id === other?.id && one.start === other.start && one.end === other.end;
    })
  );
}
