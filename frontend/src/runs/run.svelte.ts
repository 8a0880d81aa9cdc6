/** One run, kept fresh: asked again whenever the feed says that it changed. */

import * as api from '../api/endpoints';
import { sayError } from '../api/errors';
import { runLists, type Attempt } from '../api/run_lists';
import type { Run, Why } from '../api/types';
import { throttle } from '../core/timing';
import { live } from '../live/live.svelte';

const WAITING = ['queued', 'admitted'];

export class LiveRun {
  run = $state.raw<Run | null>(null);
  why = $state.raw<Why | null>(null);
  attempts = $state.raw<readonly Attempt[]>([]);
  error = $state<string | null>(null);

  constructor(readonly uid: string) {}

  start(): () => void {
    const soon = throttle(() => void this.load(), 400);
    const stop = live.listen({
      onchange: (deltas) => {
        if (deltas.some((it) => it.runs?.some((run) => run.uid === this.uid))) soon();
        else if (this.run && WAITING.includes(this.run.state)) soon();
      },
      onresync: soon,
    });
    void this.load();
    return () => {
      stop();
      soon.cancel();
    };
  }

  load = async (): Promise<void> => {
    try {
      const run = await api.runs.get(this.uid);
      this.run = run;
      this.attempts = await this.#story(run);
      this.error = null;
      this.why = WAITING.includes(run.state)
        ? await api.runs.why(this.uid).catch(() => null)
        : null;
    } catch (error) {
      this.error = sayError(error);
    }
  };

  /** Every attempt at this work; this one alone where they cannot be read. */
  async #story(run: Run): Promise<readonly Attempt[]> {
    return runLists.attempts(this.uid).catch(() => [{ ...run, frozen: [] }]);
  }
}
