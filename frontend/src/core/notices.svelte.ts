/**
 * Notifications of the browser, for who wants them: a crash, a deadline in danger.
 * Only while the page is out of sight, and one for each cause.
 */

import type { Delta, RunState } from '../api/types';
import { live } from '../live/live.svelte';
import { router } from '../router.svelte';

const KEY = 'kos.notices';
const MOST_TOLD = 500; // causes remembered, so that none is told twice
const CRASHES: Partial<Record<RunState, string>> = {
  failed: 'failed',
  lost: 'was lost with its node',
  timed_out: 'ran into its time limit',
};

/** Runs as deltas show them, with what the server tells of their deadlines. */
type Told = NonNullable<Delta['runs']>[number] & {
  readonly at_risk?: unknown;
  readonly deadline_missed?: unknown;
};

class Notices {
  #wanted = $state(kept());
  #permission = $state<NotificationPermission>(permission());
  #told = new Set<string>();
  #agents = new Map<string, string>();

  readonly supported = typeof Notification !== 'undefined';

  /** Wanted, and allowed by the browser. */
  get on(): boolean {
    return this.supported && this.#wanted && this.#permission === 'granted';
  }

  /** Why it cannot be turned on; empty when it can. */
  get why(): string {
    if (!this.supported) return 'This browser shows no notifications.';
    return this.#permission === 'denied'
      ? 'This browser blocks notifications of this site: allow them in its settings.'
      : '';
  }

  /** Asks the browser; call it from a click. */
  async turnOn(): Promise<boolean> {
    if (!this.supported) return false;
    this.#permission = await Notification.requestPermission();
    this.#wanted = this.#permission === 'granted';
    keep(this.#wanted);
    return this.on;
  }

  turnOff(): void {
    this.#wanted = false;
    keep(false);
  }

  start(): () => void {
    return live.listen({ onchange: (deltas) => this.#hear(deltas) });
  }

  #hear(deltas: readonly Delta[]): void {
    if (!this.on) return;
    for (const run of deltas.flatMap((delta) => delta.runs ?? [])) this.#consider(run);
  }

  #consider(run: Told): void {
    if (run.agent) remember(this.#agents, run.uid, run.agent);
    const agent = run.agent || (this.#agents.get(run.uid) ?? 'A run');
    const crash = run.state && CRASHES[run.state];
    if (crash) this.#tell(run.uid, crash, agent, run.reason);
    if (run.deadline_missed) this.#tell(run.uid, 'missed its deadline', agent);
    else if (run.at_risk) this.#tell(run.uid, 'will probably miss its deadline', agent);
  }

  #tell(uid: string, what: string, agent: string, reason?: string | null): void {
    const cause = `${uid} ${what}`;
    if (this.#told.has(cause)) return;
    this.#told.add(cause);
    if (this.#told.size > MOST_TOLD) {
      for (const oldest of this.#told) {
        this.#told.delete(oldest);
        break;
      }
    }
    if (document.visibilityState === 'visible') return; // the page shows it
    const notice = new Notification(`${agent} ${what}`, {
      body: reason ?? '',
      tag: cause,
    });
    notice.onclick = () => {
      window.focus();
      router.go(`/runs/${encodeURIComponent(uid)}`);
      notice.close();
    };
  }
}

function remember(map: Map<string, string>, key: string, value: string): void {
  map.set(key, value);
  if (map.size <= MOST_TOLD) return;
  const [oldest] = map.keys();
  if (oldest) map.delete(oldest);
}

function permission(): NotificationPermission {
  return typeof Notification === 'undefined' ? 'denied' : Notification.permission;
}

function kept(): boolean {
  try {
    return localStorage.getItem(KEY) === 'on';
  } catch {
    return false; // a browser that keeps nothing
  }
}

function keep(on: boolean): void {
  try {
    localStorage.setItem(KEY, on ? 'on' : 'off');
  } catch {
    return; // it holds until the page is closed
  }
}

export const notices = new Notices();
