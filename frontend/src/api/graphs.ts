/** How agents hang together, graphs and their runs. */

import { request, requestAll } from './client';
import type { AgentStatus, Kind, Page, Priority, RunState } from './types';

const at = encodeURIComponent;
export type EdgeKind = 'depends_on' | 'cascades' | 'graph';
export type On = 'ready' | 'success' | 'failure' | 'finish';

export interface AgentNode {
  readonly agent: string;
  readonly kind: Kind | null;
  readonly known: boolean;
  readonly graphs: readonly string[];
  readonly priority?: Priority | null;
  readonly status?: AgentStatus | null;
  readonly queued?: number;
  readonly last_run?: {
    readonly uid: string;
    readonly state: RunState;
    readonly started_at: string | null;
    readonly ended_at: string | null;
  } | null;
  readonly expected_s?: number | null;
  readonly next_due_at?: string | null;
  readonly critical?: boolean;
}

export interface AgentEdge {
  readonly from: string;
  readonly to: string;
  readonly kind: EdgeKind;
  readonly on: On;
  readonly graph: string | null;
  readonly editable?: boolean;
  readonly critical?: boolean;
}

export interface Way {
  readonly agents: readonly string[];
  readonly seconds: number;
}

export interface AgentGraph {
  readonly nodes: readonly AgentNode[];
  readonly edges: readonly AgentEdge[];
  readonly cycles: readonly { readonly text: string }[];
  readonly critical_path?: Way;
}

export interface EdgeChange {
  readonly edge: AgentEdge;
  readonly agent: string;
  readonly critical_path: Way;
}

export type EdgeSpec = Pick<AgentEdge, 'from' | 'to' | 'kind' | 'on'>;

/** The condition is part of an edge only where one agent triggers the other. */
function parts({ from, to, kind, on }: EdgeSpec) {
  return { from, to, kind, ...(kind === 'cascades' ? { on } : {}) };
}

export const agentGraph = {
  read: (): Promise<AgentGraph> => request('GET', 'agents/graph/'),
  add: (
    edge: EdgeSpec,
    options: { dry_run?: boolean } = {},
    signal?: AbortSignal,
  ): Promise<EdgeChange> =>
    request('POST', 'agents/graph/edges/', {
      body: { ...parts(edge), ...options },
      ...(signal ? { signal } : {}),
    }),
  remove: (edge: EdgeSpec): Promise<EdgeChange> =>
    request('DELETE', 'agents/graph/edges/', { query: parts(edge) }),
};

export type NodeState =
  'waiting' | 'queued' | 'running' | 'succeeded' | 'failed' | 'skipped';

export interface GraphNodeSpec {
  readonly name: string;
  readonly agent: string;
  readonly after: readonly { readonly node: string; readonly on: On }[];
  readonly need?: 'all' | 'any' | number;
}

export interface Graph {
  readonly name: string;
  readonly version: number;
  readonly nodes: readonly GraphNodeSpec[];
  readonly critical_path: readonly {
    readonly node: string;
    readonly seconds: number;
  }[];
  readonly expected_s: number;
}

export interface GraphRunSummary {
  readonly uid: string;
  readonly graph: string;
  readonly state: 'running' | 'succeeded' | 'failed' | 'cancelled';
  readonly reason: string;
  readonly attempt: number;
  readonly started_by: string;
  readonly started_at: string;
  readonly ended_at: string | null;
  readonly counts: Readonly<Record<NodeState, number>>;
}

export interface GraphRunNode extends GraphNodeSpec {
  readonly state: NodeState;
  readonly reason: string;
  readonly run: string | null;
  readonly started_at: string | null;
  readonly ended_at: string | null;
  readonly expected_s: number;
  readonly on_critical_path: boolean;
}

export interface GraphRun extends GraphRunSummary {
  readonly nodes: readonly GraphRunNode[];
  readonly critical_path: readonly {
    readonly node: string;
    readonly seconds: number;
  }[];
  readonly expected_end: string | null;
}

export const graphs = {
  list: (): Promise<Graph[]> => requestAll('graphs/'),
  start: (name: string): Promise<GraphRun> =>
    request('POST', `graphs/${at(name)}/start/`, { body: {} }),
  runs: (graph?: string): Promise<Page<GraphRunSummary>> =>
    request('GET', 'graph-runs/', { query: { graph, limit: 20 } }),
  run: (uid: string): Promise<GraphRun> => request('GET', `graph-runs/${at(uid)}/`),
  act: (uid: string, action: 'cancel' | 'retry'): Promise<GraphRun> =>
    request('POST', `graph-runs/${at(uid)}/${action}/`, { body: {} }),
};
