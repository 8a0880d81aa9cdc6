/** Agents and what leads from one to another, as they are drawn. Pure. */

import type { AgentEdge, AgentGraph, AgentNode, GraphRunNode } from '../api/graphs';
import { relative } from '../core/format';
import type { DrawnEdge, DrawnNode } from './drawing';

export const idOf = (edge: AgentEdge): string =>
  [edge.from, edge.to, edge.kind, edge.on, edge.graph ?? ''].join('\n');

const CONDITIONS = {
  ready: 'when ready',
  success: 'on success',
  failure: 'on failure',
  finish: 'when over',
} as const;

/** "waits for a until it is ready", seen from the one that follows. */
export function told(edge: AgentEdge): string {
  const when = CONDITIONS[edge.on];
  if (edge.kind === 'depends_on')
    return edge.on === 'ready' ? 'waits until ready' : when;
  return edge.kind === 'cascades'
    ? `starts ${when}`
    : `${when}, in ${edge.graph ?? ''}`;
}

export function drawnEdge(edge: AgentEdge): DrawnEdge {
  return {
    id: idOf(edge),
    from: edge.from,
    to: edge.to,
    label: CONDITIONS[edge.on],
    tone: toneOf(edge.on),
    dashed: edge.kind !== 'depends_on',
    critical: edge.critical === true,
  };
}
const toneOf = (on: AgentEdge['on']): DrawnEdge['tone'] =>
  on === 'success' ? 'good' : on === 'failure' ? 'bad' : 'plain';

/** Last and next run, in a few words. */
function timesOf(node: AgentNode, now: number): string {
  const last = node.last_run?.ended_at ?? node.last_run?.started_at;
  const next = node.next_due_at;
  return [
    last ? relative(Date.parse(last), now) : null,
    next ? `next ${relative(Date.parse(next), now)}` : null,
  ]
    .filter((part) => part !== null)
    .join(' · ');
}

export function drawnNode(
  node: AgentNode,
  status: string | null,
  now: number,
): DrawnNode {
  const state = node.known ? (status ?? 'sleeping') : 'planned';
  return {
    id: node.agent,
    title: node.agent,
    state,
    word: node.known ? state : 'no such agent',
    detail: node.known ? timesOf(node, now) : '',
    critical: node.critical === true,
    faint: !node.known,
  };
}

/** What would be lost if an edge went or came: names for the list beside the drawing. */
export function around(
  graph: AgentGraph,
  agent: string,
): { before: readonly AgentEdge[]; after: readonly AgentEdge[] } {
  return {
    before: graph.edges.filter((edge) => edge.to === agent),
    after: graph.edges.filter((edge) => edge.from === agent),
  };
}

/** How many of those it waits for a node of a graph needs: "2 of 3"; "" for all. */
export function needOf(node: Pick<GraphRunNode, 'need' | 'after'>): string {
  const all = node.after.length;
  if (node.need === undefined || node.need === 'all' || all < 2) return '';
  return `${node.need === 'any' ? 1 : node.need} of ${all}`;
}
