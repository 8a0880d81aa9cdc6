/** How the use of a node went, and what the queue's page asks beyond the queue. */

import { request } from './client';
import type { NodeInfo } from './types';

const at = encodeURIComponent;
export type HistoryRange = '1h' | '24h' | '7d';
export type Line =
  | 'cpu_fraction'
  | 'memory_fraction'
  | 'battery_fraction'
  | 'net_sent_bytes_per_s'
  | 'net_received_bytes_per_s'
  | 'gpu_fraction'
  | 'held_cpu_fraction'
  | 'held_memory_fraction'
  | 'runs';

export interface NodeHistory {
  readonly step_s: number;
  readonly times: readonly number[]; // seconds
  readonly lines: Readonly<Partial<Record<Line, readonly (number | null)[]>>>;
}

/** What a node's page shows beyond the usual. */
export interface NodeDetail extends NodeInfo {
  readonly labels?: Readonly<Record<string, string | boolean>>;
  readonly taints?: readonly string[];
  readonly bandwidth_bps?: number | null;
  readonly yields?: Readonly<Record<string, unknown>>;
  readonly short_of?: Readonly<Record<string, unknown>>;
}

export const history = (name: string, range: HistoryRange): Promise<NodeHistory> =>
  request('GET', `nodes/${at(name)}/history/`, { query: { range } });

/** What the scheduler would decide now. */
export interface Decision {
  readonly do: 'admit' | 'preempt' | 'thaw' | 'wait';
  readonly uid?: string;
  readonly victims?: readonly {
    readonly uid?: string;
    readonly agent?: string;
    readonly rung: string;
  }[];
}

export const plan = (): Promise<{ items: readonly Decision[] }> =>
  request('GET', 'plan/');
export const reorder = (body: {
  run: string;
  before?: string;
  after?: string;
}): Promise<unknown> => request('POST', 'queue/reorder/', { body });
export type BulkAction = 'hold' | 'release' | 'boost' | 'cancel';
export const bulk = (
  runs: readonly string[],
  action: BulkAction,
): Promise<{ done: readonly string[]; refused: readonly unknown[] }> =>
  request('POST', 'queue/bulk/', { body: { runs, action } });
export const setMode = (mode: string): Promise<unknown> =>
  request('PATCH', 'config/', { body: { scheduler_mode: mode } });
