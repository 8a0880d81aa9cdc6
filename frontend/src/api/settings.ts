/** The installation: its configuration, its tokens, how its parts are, the demo fleet. */

import { request, requestAll } from './client';
import type { Role } from './types';

const at = encodeURIComponent;

export interface ConfigKey {
  readonly key: string;
  readonly value: unknown;
  readonly source: 'default' | 'file' | 'override';
  readonly about: string;
  readonly allowed: string;
  readonly default: unknown;
  readonly file: unknown;
  readonly needs_restart: boolean;
  readonly set_at: string | null;
  readonly set_by: string | null;
}

export type Values = Readonly<Record<string, unknown>>;

export interface ConfigAnswer {
  readonly items: readonly ConfigKey[];
  readonly changed: readonly {
    readonly key: string;
    readonly before: unknown;
    readonly after: unknown;
    readonly needs_restart: boolean;
  }[];
  readonly undo: Values;
}

export const config = {
  read: (): Promise<{ readonly items: readonly ConfigKey[] }> =>
    request('GET', 'config/'),
  change: (values: Values): Promise<ConfigAnswer> =>
    request('PATCH', 'config/', { body: values }),
  tell: (values: Values, signal: AbortSignal): Promise<ConfigAnswer> =>
    request('PATCH', 'config/', { body: values, query: { dry_run: true }, signal }),
};

export interface Token {
  readonly id: number;
  readonly name: string;
  readonly role: Role;
  readonly created_at: string;
  readonly created_by: string;
  readonly last_used_at: string | null;
  readonly expires_at: string | null;
}

export const tokens = {
  list: (): Promise<Token[]> => requestAll('tokens/'),
  create: (body: {
    readonly name: string;
    readonly role: Role;
    readonly expires_at?: string;
  }): Promise<Token & { readonly token: string }> =>
    request('POST', 'tokens/', { body }),
  revoke: (id: number): Promise<void> => request('DELETE', `tokens/${at(id)}/`),
};

export interface About {
  readonly version: string;
  readonly parts: readonly {
    readonly name: string;
    readonly state: 'good' | 'warn' | 'bad';
    readonly text: string;
  }[];
  readonly paths?: Readonly<Record<string, string>>;
}

export const about = (): Promise<About> => request('GET', 'about/');

export const loadDemo = (): Promise<{
  readonly agents: number;
  readonly schedules: number;
}> => request('POST', 'demo/', { body: {} });
