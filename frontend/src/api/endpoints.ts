/** Every call the interface makes, by the names of the contract. */

import { request, requestAll } from './client';
import type { Artefacts, Delivery, Endpoint } from './run_parts';
import type {
  Agent,
  AgentDetail,
  AuditPage,
  Capacity,
  EnvironmentInfo,
  Group,
  Logs,
  Me,
  MoveRequest,
  MoveResult,
  NodeInfo,
  Overview,
  Page,
  Preview,
  Queue,
  Registration,
  Run,
  Spoken,
  Schedule,
  ScheduleDraft,
  Timeline,
  Why,
} from './types';

const at = encodeURIComponent;

export const me = (): Promise<Me> => request('GET', 'me/');
export const overview = (): Promise<Overview> => request('GET', 'overview/');

export interface ParsedCommand {
  readonly entry_point: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly note?: string;
}

export const agents = {
  list: (): Promise<Agent[]> => requestAll('agents/'),
  get: (id: string): Promise<AgentDetail> => request('GET', `agents/${at(id)}/`),
  create: (body: Registration): Promise<AgentDetail> =>
    request('POST', 'agents/', { body, once: true }),
  change: (id: string, body: Partial<Registration>): Promise<AgentDetail> =>
    request('PATCH', `agents/${at(id)}/`, { body }),
  retire: (id: string): Promise<void> => request('DELETE', `agents/${at(id)}/`),
  act: (id: string, action: 'start' | 'stop' | 'restart' | 'reset'): Promise<unknown> =>
    request('POST', `agents/${at(id)}/${action}/`, { body: {} }),
  endpoints: async (id: string): Promise<readonly Endpoint[]> => {
    const said = await request<{ items: readonly Endpoint[] }>(
      'GET',
      `agents/${at(id)}/endpoints/`,
    );
    return said.items;
  },
  parseCommand: (command: string, signal?: AbortSignal): Promise<ParsedCommand> =>
    request('POST', 'agents/parse-command/', {
      body: { command },
      ...(signal ? { signal } : {}),
    }),
  environments: async (): Promise<readonly EnvironmentInfo[]> => {
    const said = await request<
      readonly EnvironmentInfo[] | { items: readonly EnvironmentInfo[] }
    >('GET', 'environments/');
    return 'items' in said ? said.items : said;
  },
};

export const schedules = {
  ofAgent: (agent: string): Promise<Schedule[]> => requestAll('schedules/', { agent }),
  get: (id: string): Promise<Schedule> => request('GET', `schedules/${at(id)}/`),
  create: (body: ScheduleDraft): Promise<Schedule> =>
    request('POST', 'schedules/', { body, once: true }),
  change: (id: string, body: ScheduleDraft): Promise<Schedule> =>
    request('PATCH', `schedules/${at(id)}/`, { body }),
  end: (id: string): Promise<{ undo_token: string | null }> =>
    request('DELETE', `schedules/${at(id)}/`),
  pause: (id: string, note: string, until: string | null = null): Promise<Schedule> =>
    request('POST', `schedules/${at(id)}/pause/`, { body: { note, until } }),
  resume: (id: string): Promise<Schedule> =>
    request('POST', `schedules/${at(id)}/resume/`, { body: {} }),
  preview: (id: string, count: number): Promise<Preview> =>
    request('GET', `schedules/${at(id)}/preview/`, { query: { count } }),
  previewDraft: (
    body: ScheduleDraft & { after?: string; count: number },
    signal: AbortSignal,
  ): Promise<Preview> => request('POST', 'schedules/preview/', { body, signal }),
};

export const occurrences = {
  move: (id: string, body: MoveRequest, signal?: AbortSignal): Promise<MoveResult> =>
    request('POST', `occurrences/${at(id)}/move/`, {
      body,
      ...(signal ? { signal } : {}),
    }),
  undo: (token: string): Promise<unknown> =>
    request('POST', `undo/${at(token)}/`, { body: {} }),
};

export interface TimelineQuery {
  readonly from: string;
  readonly to: string;
  readonly group: Group;
  readonly q?: string;
  readonly max_items: number;
}

export const timeline = (
  query: TimelineQuery,
  signal: AbortSignal,
): Promise<Timeline> => request('GET', 'timeline/', { query: { ...query }, signal });

export const capacity = (
  query: { from: string; to: string; step_s: number },
  signal: AbortSignal,
): Promise<Capacity> => request('GET', 'capacity/', { query, signal });

export interface RunFilter {
  readonly agent?: string | undefined;
  readonly state?: string | undefined;
  readonly node?: string | undefined;
  readonly schedule?: string | undefined;
  readonly limit?: number;
  readonly cursor?: string | null;
}

export const runs = {
  list: (filter: RunFilter): Promise<Page<Run>> =>
    request('GET', 'runs/', { query: { ...filter } }),
  get: (uid: string): Promise<Run> => request('GET', `runs/${at(uid)}/`),
  stop: (uid: string): Promise<unknown> =>
    request('POST', `runs/${at(uid)}/stop/`, { body: {} }),
  freeze: (uid: string): Promise<unknown> =>
    request('POST', `runs/${at(uid)}/freeze/`, { body: {} }),
  thaw: (uid: string): Promise<unknown> =>
    request('POST', `runs/${at(uid)}/thaw/`, { body: {} }),
  retry: (uid: string): Promise<Run> =>
    request('POST', `runs/${at(uid)}/retry/`, { body: {} }),
  why: (uid: string): Promise<Why> => request('GET', `runs/${at(uid)}/why/`),
  logs: (
    uid: string,
    query: { stream: 'out' | 'err' | 'all'; after?: number; limit?: number },
  ): Promise<Logs> => request('GET', `runs/${at(uid)}/logs/`, { query }),
  artefacts: (uid: string): Promise<Artefacts> =>
    request('GET', `runs/${at(uid)}/artefacts/`),
  /** Where a file of it is downloaded from. */
  artefactUrl: (uid: string, name: string): string =>
    `/api/v1/runs/${at(uid)}/artefacts/${name.split('/').map(at).join('/')}`,
};

export const deliveries = {
  replay: (id: number): Promise<Delivery> =>
    request('POST', `deliveries/${id}/replay/`, { body: {} }),
};

export const spawn = (body: {
  agent: string;
  at?: string;
}): Promise<{ runs: readonly string[] }> =>
  request('POST', 'spawn/', { body, once: true });

export const nodes = {
  list: (): Promise<NodeInfo[]> => requestAll('nodes/'),
  act: (name: string, action: 'cordon' | 'uncordon' | 'drain'): Promise<unknown> =>
    request('POST', `nodes/${at(name)}/${action}/`, { body: {} }),
};

export const queue = {
  read: (): Promise<Queue> => request('GET', 'queue/', { query: { limit: 500 } }),
  hold: (uid: string): Promise<unknown> =>
    request('POST', `runs/${at(uid)}/hold/`, { body: {} }),
  release: (uid: string): Promise<unknown> =>
    request('POST', `runs/${at(uid)}/release/`, { body: {} }),
  toFront: (uid: string): Promise<unknown> =>
    request('POST', `runs/${at(uid)}/boost/`, { body: { to: 'front' } }),
};

/** What was said, and what will happen; or the token of an answer, to have it done. */
export const voice = (body: {
  text?: string;
  timezone?: string;
  confirm?: string;
}): Promise<Spoken> => request('POST', 'voice/', { body });

/** The journal, newest first, before a number. */
export const audit = (query: { limit: number; before?: number }): Promise<AuditPage> =>
  request('GET', 'audit/', { query: { ...query, order: 'newest' } });
