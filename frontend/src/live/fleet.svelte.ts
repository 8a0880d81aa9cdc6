/** All agents and the figures of the chips, kept fresh by the live feed. */

import { SvelteMap } from 'svelte/reactivity';
import * as api from '../api/endpoints';
import { sayError } from '../api/errors';
import type { Agent, Overview } from '../api/types';
import { throttle } from '../core/timing';
import { live } from './live.svelte';

class Fleet {
  /** By agent_id. A change of one agent wakes only what shows that agent. */
  agents = new SvelteMap<string, Agent>();
  overview = $state.raw<Overview | null>(null);
  latencyMs = $state<number | null>(null);
  loaded = $state(false);
  error = $state<string | null>(null);

  start(): () => void {
    const soon = throttle(() => void this.refresh(), 2000);
    const stop = live.listen({ onchange: soon, onresync: soon });
    const timer = setInterval(soon, 15_000);
    void this.refresh();
    return () => {
      stop();
      soon.cancel();
      clearInterval(timer);
    };
  }

  /** Two questions that do not wait for each other: the one may fail where the other works. */
  refresh = async (): Promise<void> => {
    if (document.visibilityState === 'hidden' && this.loaded) return;
    const asked = performance.now();
    const [overview, agents] = await Promise.allSettled([
      api.overview().then((found) => {
        this.latencyMs = Math.round(performance.now() - asked);
        this.overview = found;
      }),
      api.agents.list().then((found) => this.#take(found)),
    ]);
    const failed = [agents, overview].find((it) => it.status === 'rejected');
    this.error = failed ? sayError(failed.reason) : null;
    this.loaded = true;
  };

  #take(list: readonly Agent[]): void {
    const present = new Set<string>();
    for (const agent of list) {
      present.add(agent.agent_id);
      const before = this.agents.get(agent.agent_id);
      if (!before || JSON.stringify(before) !== JSON.stringify(agent)) {
        this.agents.set(agent.agent_id, agent);
      }
    }
    for (const id of this.agents.keys()) if (!present.has(id)) this.agents.delete(id);
  }
}

export const fleet = new Fleet();
