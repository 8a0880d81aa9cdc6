/** Runs in lists, with their attempts and what they used; agents with their history. */

import { request } from './client';
import type {
  AgentDetail,
  AuditEntry,
  Page,
  Priority,
  Registration,
  Run,
  RunState,
} from './types';

const at = encodeURIComponent;

export const ORDERS = ['newest', 'oldest', 'longest', 'cpu', 'memory'] as const;
export type Order = (typeof ORDERS)[number];

export interface ListFilter {
  readonly agent?: string | undefined;
  readonly state?: string | undefined;
  readonly node?: string | undefined;
  readonly schedule?: string | undefined;
  readonly q?: string | undefined;
  readonly started_after?: string | undefined;
  readonly started_before?: string | undefined;
  readonly queued_before?: string | undefined;
  readonly order?: Order;
}

export interface LastRun {
  readonly uid: string;
  readonly state: RunState;
  readonly reason: string | null;
  readonly exit_code: number | null;
  readonly attempt: number;
  readonly due_at: string;
  readonly started_at: string | null;
  readonly ended_at: string | null;
  readonly cpu_seconds: number | null;
  readonly peak_memory_bytes: number | null;
}

export interface LastRuns {
  readonly agent: string;
  readonly runs: readonly LastRun[];
}

export interface FrozenSpan {
  readonly from: string;
  readonly to: string | null;
  readonly reason: string | null;
}

export interface Attempt extends Run {
  readonly frozen: readonly FrozenSpan[];
}

export interface RunUsage {
  readonly times: readonly number[];
  readonly cpu: readonly (number | null)[];
  readonly memory: readonly (number | null)[];
  readonly read: readonly (number | null)[];
  readonly written: readonly (number | null)[];
}

export interface Again {
  readonly agent: string;
  readonly params?: Readonly<Record<string, unknown>>;
  readonly priority?: Priority;
  readonly node?: string;
  readonly at?: string;
}

export interface Version {
  readonly number: number;
  readonly current: boolean;
  readonly created_at: string;
  readonly created_by: string;
  readonly note: string;
  readonly definition: Registration;
}

export interface Imported {
  readonly service: string;
  readonly registration: Registration;
  readonly notes: readonly string[];
  readonly faults: Readonly<Record<string, readonly string[]>>;
}

export const runLists = {
  stretch: (filter: ListFilter, offset: number, limit: number): Promise<Page<Run>> =>
    request('GET', 'runs/', { query: { ...filter, offset, limit } }),
  byAgent: (query: {
    last: number;
    q?: string;
    agent?: string;
    limit?: number;
    cursor?: string | null;
  }): Promise<Page<LastRuns>> => request('GET', 'runs/by-agent/', { query }),
  attempts: async (uid: string): Promise<readonly Attempt[]> =>
    (await request<Page<Attempt>>('GET', `runs/${at(uid)}/attempts/`)).items,
  usage: (uid: string): Promise<RunUsage> => request('GET', `runs/${at(uid)}/usage/`),
  again: (body: Again): Promise<{ runs: readonly string[] }> =>
    request('POST', 'spawn/', { body, once: true }),
};

export const agentHistory = {
  versions: async (id: string): Promise<readonly Version[]> =>
    (
      await request<Page<Version>>('GET', `agents/${at(id)}/versions/`, {
        query: { limit: 200 },
      })
    ).items,
  rollback: (id: string, version: number): Promise<AgentDetail> =>
    request('POST', `agents/${at(id)}/rollback/`, { body: { version } }),
  audit: async (id: string): Promise<readonly AuditEntry[]> =>
    (
      await request<{ items: readonly AuditEntry[] }>('GET', 'audit/', {
        query: { subject: `agent:${id}`, order: 'newest', limit: 200 },
      })
    ).items,
  importCompose: async (compose: string): Promise<readonly Imported[]> =>
    (await request<Page<Imported>>('POST', 'agents/import/', { body: { compose } }))
      .items,
};
