/** The lines of a run's output: by number, or those that fit a search. */

import { request, urlOf } from './client';
import type { Stream } from './types';

export const LEVELS = ['debug', 'info', 'warning', 'error', 'critical'] as const;
export type Level = (typeof LEVELS)[number];

export interface LogLine {
  readonly line: number;
  readonly stream: Stream;
  readonly seq: number; // offset of its first byte
  readonly bytes: number;
  readonly at: string;
  readonly level: Level | null;
  readonly text: string;
  readonly message?: string | null;
  readonly fields?: Readonly<Record<string, unknown>>;
  readonly clipped?: boolean;
  readonly unfinished?: boolean;
  readonly cut?: { readonly from: number; readonly to: number };
}

export interface LinePage {
  readonly total: number;
  readonly line: number | null;
  readonly items: readonly LogLine[];
  readonly removed: string | null;
}

export interface FoundPage {
  readonly items: readonly LogLine[];
  readonly next: string | null;
  readonly previous: string | null;
  readonly more: boolean;
  readonly scanned: number;
}

export interface LineSearch {
  readonly stream: Stream | 'all';
  readonly q?: string;
  readonly level?: Level | '';
  readonly after?: string | null;
  readonly before?: string | null;
  readonly limit: number;
}

const path = (uid: string, what: string) => `runs/${encodeURIComponent(uid)}/${what}`;

export const logLines = {
  /** From `line` on; without it, the last. */
  page: (
    uid: string,
    query: { stream: Stream; line?: number; limit: number },
  ): Promise<LinePage> => request('GET', path(uid, 'lines/'), { query }),
  find: (uid: string, query: LineSearch, signal?: AbortSignal): Promise<FoundPage> =>
    request('GET', path(uid, 'log-lines/'), {
      query: { ...query, numbered: true },
      ...(signal ? { signal } : {}),
    }),
  rawUrl: (uid: string, stream: Stream): string =>
    urlOf(path(uid, `output/${stream}/`)),
};
