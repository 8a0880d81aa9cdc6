/** A graph, or one run of it, as it is drawn. Pure. */

import type { Graph, GraphNodeSpec, GraphRun } from '../api/graphs';
import { duration } from '../core/format';
import { drawnEdge, needOf } from './agent_drawing';
import type { DrawnEdge, DrawnNode } from './drawing';

interface Drawn {
  readonly nodes: readonly DrawnNode[];
  readonly edges: readonly DrawnEdge[];
}

/** An edge lies on the critical path where both its ends do, one after the other. */
function edgesOf(
  nodes: readonly GraphNodeSpec[],
  path: readonly { readonly node: string }[],
): DrawnEdge[] {
  const follows = new Map(path.map(({ node }, index) => [node, path[index + 1]?.node]));
  return nodes.flatMap((node) => {
    const need = needOf(node);
    return node.after.map((edge) => {
      const drawn = drawnEdge({
        from: edge.node,
        to: node.name,
        kind: 'graph',
        on: edge.on,
        graph: null,
        critical: follows.get(edge.node) === node.name,
      });
      return {
        ...drawn,
        dashed: false,
        label: need ? `${drawn.label}, ${need}` : drawn.label,
      };
    });
  });
}

export function ofGraph(graph: Graph): Drawn {
  const path = new Set(graph.critical_path.map((step) => step.node));
  return {
    edges: edgesOf(graph.nodes, graph.critical_path),
    nodes: graph.nodes.map((node) => ({
      id: node.name,
      title: node.name,
      state: 'planned',
      word: node.agent === node.name ? 'agent' : node.agent,
      detail: '',
      critical: path.has(node.name),
    })),
  };
}

export function ofRun(run: GraphRun, now: number): Drawn {
  return {
    edges: edgesOf(run.nodes, run.critical_path),
    nodes: run.nodes.map((node) => ({
      id: node.name,
      title: node.name,
      state: node.state,
      word: node.state,
      detail: timeOf(node, now),
      critical: node.on_critical_path,
      faint: node.state === 'skipped',
    })),
  };
}

/** How long it took, takes, or will probably take. */
function timeOf(node: GraphRun['nodes'][number], now: number): string {
  if (node.state === 'skipped') return '';
  if (!node.started_at) return `about ${duration(node.expected_s * 1000)}`;
  const end = node.ended_at ? Date.parse(node.ended_at) : now;
  return duration(Math.max(0, end - Date.parse(node.started_at)));
}
