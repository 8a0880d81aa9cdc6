/** Calendar feeds and saved views: what a person keeps for themselves. */

import { request, requestAll } from './client';

export type FeedScope =
  | 'all'
  | { readonly agent: string }
  | { readonly tag: string }
  | { readonly schedules: readonly string[] };

export interface Feed {
  readonly id: number;
  readonly name: string;
  readonly scope: FeedScope;
  readonly created_at: string;
  readonly last_used_at: string | null;
}

/** The address is told once. */
export interface NewFeed extends Feed {
  readonly url: string;
}

export interface SavedView {
  readonly id: number;
  readonly name: string;
  readonly path: string;
  readonly query: string;
  readonly shared: boolean;
  readonly mine: boolean;
  readonly owner: string;
}

export const feeds = {
  list: (): Promise<Feed[]> => requestAll('feeds/'),
  create: (body: { name: string; scope: FeedScope }): Promise<NewFeed> =>
    request('POST', 'feeds/', { body }),
  revoke: (id: number): Promise<void> => request('DELETE', `feeds/${id}/`),
};

export const views = {
  of: (path: string): Promise<SavedView[]> => requestAll('views/', { path }),
  save: (
    body: Pick<SavedView, 'name' | 'path' | 'query' | 'shared'>,
  ): Promise<SavedView> => request('POST', 'views/', { body }),
  change: (
    id: number,
    body: Partial<Pick<SavedView, 'name' | 'query' | 'shared'>>,
  ): Promise<SavedView> => request('PATCH', `views/${id}/`, { body }),
  drop: (id: number): Promise<void> => request('DELETE', `views/${id}/`),
};
