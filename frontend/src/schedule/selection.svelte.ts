/** The runs that are chosen together, and how they came to be chosen. */

import { SvelteSet } from 'svelte/reactivity';
import type { TimelineStore } from './store.svelte';
import { between } from './timeline/select';
import type { Placed } from './timeline/layout';

export const MOST = 1000; // what the server takes at once

export class Selection {
  readonly ids = new SvelteSet<string>();
  /** A tap chooses instead of opening, and a drag over empty space draws a frame. */
  mode = $state(false);
  #last: string | null = null;

  constructor(private readonly store: TimelineStore) {}

  get chosen(): Placed[] {
    void this.store.changes;
    return [...this.ids].flatMap((id) => this.store.get(id) ?? []);
  }

  toggle(id: string): void {
    if (!this.ids.delete(id) && this.ids.size < MOST) this.ids.add(id);
    this.#last = id;
  }

  /** From the one chosen last to this one, along their row. */
  reach(id: string): void {
    this.add(between(this.store.index, this.#last, id));
    this.#last = id;
  }

  add(ids: readonly string[]): void {
    for (const id of ids) if (this.ids.size < MOST) this.ids.add(id);
  }

  clear(): void {
    this.ids.clear();
    this.#last = null;
    this.mode = false;
  }
}
