/** A long list of runs of which only stretches are held, kept fresh by the live feed. */

import { sayError } from '../api/errors';
import { runLists, type ListFilter } from '../api/run_lists';
import type { Delta, Run } from '../api/types';
import { clock } from '../core/clock.svelte';
import { throttle } from '../core/timing';

const PAGE = 100;
const MOST_PAGES = 30;

export class RunPages {
  total = $state(0);
  loaded = $state(false);
  error = $state<string | null>(null);
  fresh = $state(0); // runs that came since, above what is shown
  #pages = $state.raw(new Map<number, readonly Run[]>());
  #asked = new Set<number>();
  #known = new Set<string>();
  #upto: string | undefined; // runs queued later do not move the list while one reads
  #turn = 0;
  readonly #soon = throttle(() => void this.load(), 1500);

  constructor(private readonly filter: ListFilter) {}

  at(row: number): Run | undefined {
    return this.#pages.get(Math.floor(row / PAGE))?.[row % PAGE];
  }

  /** From the top, with what is newest. */
  load = async (): Promise<void> => {
    const turn = ++this.#turn;
    this.#upto = undefined;
    try {
      const page = await runLists.stretch(this.filter, 0, PAGE);
      if (turn !== this.#turn) return;
      this.#upto = new Date(clock.exact()).toISOString();
      this.#pages = new Map([[0, page.items]]);
      this.#known = new Set(page.items.map((run) => run.uid));
      this.#asked.clear();
      this.total = page.total ?? 0;
      this.fresh = 0;
      this.error = null;
    } catch (error) {
      if (turn !== this.#turn) return;
      this.error = sayError(error);
    }
    this.loaded = true;
  };

  want(first: number, last: number): void {
    for (let n = Math.floor(first / PAGE); n * PAGE < last; n += 1) {
      if (!this.#pages.has(n) && !this.#asked.has(n) && this.loaded)
        void this.#fetch(n);
    }
  }

  async #fetch(n: number): Promise<void> {
    const turn = this.#turn;
    this.#asked.add(n);
    try {
      const filter = { ...this.filter, queued_before: this.#upto };
      const page = await runLists.stretch(filter, n * PAGE, PAGE);
      if (turn !== this.#turn) return;
      const pages = new Map(this.#pages);
      pages.set(n, page.items);
      for (const old of pages.keys()) {
        if (pages.size <= MOST_PAGES) break;
        pages.delete(old);
      }
      for (const run of page.items) this.#known.add(run.uid);
      this.#pages = pages;
      this.total = page.total ?? this.total;
    } catch (error) {
      this.error = sayError(error);
    }
    this.#asked.delete(n);
  }

  /** What is shown changes in place; new runs come in at once only at the top. */
  hear(deltas: readonly Delta[], atTop: boolean): void {
    const changed = new Map(
      deltas.flatMap((delta) => delta.runs ?? []).map((run) => [run.uid, run]),
    );
    if (changed.size === 0) return;
    let touched = false;
    const pages = new Map(this.#pages);
    for (const [n, runs] of pages) {
      if (!runs.some((run) => changed.has(run.uid))) continue;
      touched = true;
      pages.set(
        n,
        runs.map((run) => ({ ...run, ...(changed.get(run.uid) as Partial<Run>) })),
      );
    }
    if (touched) this.#pages = pages;
    if (atTop) return this.#soon();
    const mine = [...changed.values()].filter(
      (run) => !this.filter.agent || run.agent === this.filter.agent,
    );
    for (const run of mine) {
      if (run.state !== 'queued' || this.#known.has(run.uid)) continue;
      this.#known.add(run.uid);
      this.fresh += 1;
    }
  }
}
