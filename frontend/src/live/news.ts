/**
 * Puts the news of each run in order.
 *
 * A run's news comes from several processes, each with a sender of its own: what
 * happened first may be heard last. Here older news adds what it knows and never takes
 * back what is known.
 */

import type { Delta, RunDelta } from '../api/types';
import { isFinal, stageOf } from '../core/run_state';

const MOST_KNOWN = 20_000; // runs; those heard of longest ago are forgotten

export class News {
  #known = new Map<string, RunDelta>();

  /** The delta, with each run as it stands once all that was heard of it is in order. */
  inOrder(delta: Delta): Delta {
    if (!delta.runs) return delta;
    return { ...delta, runs: delta.runs.map((run) => this.#take(run)) };
  }

  #take(run: RunDelta): RunDelta {
    if (!run.state) return run; // news that leaves its state alone
    const known = this.#known.get(run.uid);
    const latest = known && isOlder(run, known) ? { ...run, ...known } : run;
    this.#known.delete(run.uid);
    this.#known.set(run.uid, latest);
    if (this.#known.size > MOST_KNOWN) {
      const [oldest] = this.#known.keys();
      if (oldest) this.#known.delete(oldest);
    }
    return latest;
  }
}

/**
 * Whether `run` happened before `known`. Instants come from the clocks of several
 * machines: they decide only between stages that do not.
 */
function isOlder(run: RunDelta, known: RunDelta): boolean {
  if (isFinal(known.state)) return !isFinal(run.state);
  if (stageOf(run.state) > stageOf(known.state)) return false;
  return Date.parse(run.at) < Date.parse(known.at);
}
