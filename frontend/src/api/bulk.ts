/** Changing many schedules or single occurrences at once: all of them, or none. */

import { request } from './client';
import type { Priority } from './types';

export type BulkAction = 'shift' | 'pause' | 'resume' | 'priority';

export interface BulkRequest {
  readonly action: BulkAction;
  readonly ids: readonly string[];
  readonly by_s?: number;
  readonly note?: string;
  readonly priority?: Priority | null;
  readonly dry_run?: boolean;
}

export interface BulkResult {
  readonly changed_count: number;
  readonly items: readonly {
    readonly id: string;
    readonly agent: string;
    readonly before: string | null;
    readonly after: string | null;
  }[];
  readonly conflicts: readonly { readonly id: string; readonly text: string }[];
  readonly refused: readonly { readonly id: string; readonly reason: string }[];
  readonly undo_token: string | null;
}

export const bulk = (body: BulkRequest, signal?: AbortSignal): Promise<BulkResult> =>
  request('POST', 'bulk/schedules/', { body, ...(signal ? { signal } : {}) });

/** How agents hang together. */
export const agentEdges = (): Promise<{
  edges: readonly {
    readonly from: string;
    readonly to: string;
    readonly kind: string;
  }[];
}> => request('GET', 'agents/graph/');
