/** What fires what: rules, sensors, webhooks, calendars and windows of time. */

import { request, requestAll } from './client';
import type { Page, Pause, RunState } from './types';

const at = encodeURIComponent;

export type Family = 'condition' | 'event' | 'sun' | 'clock';

export interface Fired {
  readonly occurrence: string;
  readonly at: string;
  readonly outcome: 'run' | 'skipped' | 'missed';
  readonly reason: string | null;
  readonly run: string | null;
  readonly state: RunState | null;
  readonly said: string | null;
}

export interface Standing {
  readonly level: boolean | null;
  readonly values: Readonly<Record<string, unknown>>;
  readonly error: string | null;
  readonly hold: number;
  readonly cooldown: number;
  readonly armed: boolean | null;
  readonly holds_until: string | null;
  readonly cooling_until: string | null;
  readonly fired_at: string | null;
  readonly watched: boolean;
}

export interface Trigger {
  readonly id: string;
  readonly agent: string;
  readonly family: Family;
  readonly kind: string;
  readonly source: 'webhook' | 'run' | 'node' | 'file' | null;
  readonly waits_for: Readonly<Record<string, unknown>> | null;
  readonly rule_text: string;
  readonly timed: boolean;
  readonly timezone: string;
  readonly enabled: boolean;
  readonly agent_enabled: boolean;
  readonly paused: Pause | null;
  readonly next_due_at: string | null;
  readonly fired_count: number;
  readonly last: Fired | null;
  readonly condition: Standing | null;
}

export interface AskedFor {
  readonly agent: string;
  readonly by: string;
  readonly at: string;
  readonly run: string;
  readonly state: RunState;
  readonly parent: string | null;
  readonly count: number;
}

export interface TriggerPage extends Page<Trigger> {
  readonly counts?: Readonly<Record<Family, number>>;
  readonly asked?: readonly AskedFor[];
}

export interface Trial {
  readonly outcome: 'starts' | 'waits' | 'skipped' | 'refused';
  readonly text: string;
  readonly notes: readonly string[];
  readonly agent: string;
  readonly node: string | null;
  readonly priority: string;
  readonly params: Readonly<Record<string, unknown>>;
}

export interface Sensor {
  readonly name: string;
  readonly source: 'mqtt' | 'rest';
  readonly topic?: string | null;
  readonly type: string;
  readonly unit?: string | null;
  readonly value: unknown;
  readonly at: string | null;
  readonly quality: string;
  readonly received: number;
  readonly rejected: number;
  readonly last_error: string | null;
}

export interface Hook {
  readonly id: string;
  readonly name: string;
  readonly url: string;
  readonly enabled: boolean;
  readonly received: number;
  readonly refused: number;
  readonly last_received_at: string | null;
  readonly last_refusal: string | null;
  readonly schedules: readonly string[];
}

export interface HookMessage {
  readonly message_id: string;
  readonly received_at: string;
  readonly bytes: number;
  readonly fired: readonly string[];
  readonly replays: number;
}

export interface UserCalendar {
  readonly name: string;
  readonly title: string;
  readonly built_in: boolean;
  readonly next_days: readonly string[];
  readonly schedules: number;
}

export interface TimeWindow {
  readonly id: string;
  readonly name: string;
  readonly kind: 'blackout' | 'maintenance' | 'allowed';
  readonly scope: unknown;
  readonly policy: string;
  readonly open: boolean;
  readonly next: { readonly from: string; readonly to: string } | null;
}

export const triggers = {
  page: (query: {
    readonly state?: string | null;
    readonly q?: string | null;
    readonly cursor?: string | null;
  }): Promise<TriggerPage> =>
    request('GET', 'triggers/', { query: { ...query, limit: 200 } }),
  dryRun: (id: string): Promise<Trial> =>
    request('POST', `schedules/${at(id)}/test-fire/`, { body: { dry_run: true } }),
  fire: (
    id: string,
  ): Promise<{ readonly run: string | null; readonly occurrence: string | null }> =>
    request('POST', `schedules/${at(id)}/test-fire/`, { body: {} }),
};

export const sensors = (): Promise<Sensor[]> => requestAll('sensors/');

export const hooks = {
  list: (): Promise<Hook[]> => requestAll('hooks/'),
  messages: (id: string): Promise<Page<HookMessage>> =>
    request('GET', `hooks/${at(id)}/deliveries/`, { query: { limit: 5 } }),
  enable: (id: string, enabled: boolean): Promise<Hook> =>
    request('PATCH', `hooks/${at(id)}/settings/`, { body: { enabled } }),
};

export const calendars = {
  list: (): Promise<UserCalendar[]> => requestAll('calendars/'),
  create: (body: {
    readonly name: string;
    readonly dates?: readonly string[];
    readonly source?: string; // the text of an .ics file
  }): Promise<UserCalendar> => request('POST', 'calendars/', { body, once: true }),
  remove: (name: string): Promise<void> => request('DELETE', `calendars/${at(name)}/`),
};

export const windows = {
  list: (): Promise<TimeWindow[]> => requestAll('windows/'),
  create: (body: Readonly<Record<string, unknown>>): Promise<TimeWindow> =>
    request('POST', 'windows/', { body, once: true }),
  remove: (id: string): Promise<void> => request('DELETE', `windows/${at(id)}/`),
};
