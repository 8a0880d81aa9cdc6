/** The journal: looked through, checked, kept as a file. */

import { request, urlOf } from './client';
import type { AuditEntry } from './types';

export type Way = 'page' | 'admin' | 'api' | 'command' | 'voice' | 'system';

export interface Entry extends AuditEntry {
  readonly way: Way;
}

export interface AuditFilter {
  readonly actor?: string | null;
  readonly kind?: string | null;
  readonly object?: string | null;
  readonly way?: string | null;
  readonly subject?: string | null;
  readonly q?: string | null;
  readonly from?: string | null;
  readonly to?: string | null;
}

export interface Checked {
  readonly ok: boolean;
  readonly events: number;
  readonly seals: number;
  readonly unsealed: number;
  readonly next: number | null;
  readonly last: number;
  readonly findings: readonly {
    readonly fault: string;
    readonly seq: number;
    readonly text: string;
  }[];
}

export interface AgentVersion {
  readonly version?: number;
  readonly number?: number;
  readonly definition?: Readonly<Record<string, unknown>>;
}

export const audit = {
  page: (
    filter: AuditFilter,
    before: number | null,
  ): Promise<{ readonly items: readonly Entry[]; readonly next: number | null }> =>
    request('GET', 'audit/', {
      query: { ...filter, order: 'newest', limit: 100, before },
    }),
  check: (after: number): Promise<Checked> =>
    request('GET', 'audit/verify/', { query: { after } }),
  exportUrl: (filter: AuditFilter, format: 'csv' | 'json'): string =>
    urlOf('audit/export/', { ...filter, format }),
  versions: (agent: string): Promise<{ readonly items: readonly AgentVersion[] }> =>
    request('GET', `agents/${encodeURIComponent(agent)}/versions/`, {
      query: { limit: 500 },
    }),
};
