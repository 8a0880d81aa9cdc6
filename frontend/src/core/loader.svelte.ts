/** A snapshot from the server with its three faces: loading, failed, here. */

import { isAbort, sayError } from '../api/errors';
import type { Delta } from '../api/types';
import { live } from '../live/live.svelte';
import { throttle } from './timing';

export class Loader<T> {
  value = $state.raw<T | null>(null);
  error = $state<string | null>(null);
  loading = $state(true);
  #turn = 0;

  constructor(private readonly fetch: () => Promise<T>) {}

  load = async (): Promise<void> => {
    const turn = ++this.#turn;
    this.loading = true;
    try {
      const value = await this.fetch();
      if (turn !== this.#turn) return;
      this.value = value;
      this.error = null;
    } catch (error) {
      if (turn !== this.#turn || isAbort(error)) return;
      this.error = sayError(error);
    }
    this.loading = false;
  };

  /** Loads now, and again when the feed says something that matters here. */
  follow(matters: (delta: Delta) => boolean, everyMs = 1500): () => void {
    const soon = throttle(() => void this.load(), everyMs);
    const stop = live.listen({
      onchange: (deltas) => {
        if (deltas.some(matters)) soon();
      },
      onresync: soon,
    });
    void this.load();
    return () => {
      stop();
      soon.cancel();
    };
  }
}
