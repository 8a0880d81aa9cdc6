/** Lays a graph out. Runs in a worker, so that it never holds up the page. */

import { graphlib, layout } from '@dagrejs/dagre';
import { GAP, inRows, NODE, type Plan, type Question, type Spot } from './drawing';

export function arrange(asked: Question): Plan {
  const tied = new Set(asked.edges.flatMap((edge) => [edge.from, edge.to]));
  const graph = new graphlib.Graph({ multigraph: true });
  graph.setGraph({
    rankdir: asked.direction,
    nodesep: GAP,
    ranksep: asked.direction === 'LR' ? 96 : 56,
    edgesep: 14,
    // the best ranks take seconds for hundreds
    ranker: tied.size > 120 ? 'longest-path' : 'network-simplex',
  });
  graph.setDefaultEdgeLabel(() => ({}));
  const together = asked.nodes.filter((id) => tied.has(id));
  for (const id of together) graph.setNode(id, { ...NODE });
  for (const { id, from, to } of asked.edges) graph.setEdge(from, to, {}, id);
  if (together.length > 0) layout(graph);
  const nodes: Record<string, Spot> = {};
  for (const id of together) {
    const { x, y } = graph.node(id) as Spot;
    nodes[id] = { x, y };
  }
  const edges: Record<string, Spot[]> = {};
  for (const edge of graph.edges()) {
    const { points } = graph.edge(edge) as { points?: Spot[] };
    edges[edge.name ?? ''] = (points ?? []).map(({ x, y }) => ({ x, y }));
  }
  return withAlone(asked, tied, { nodes, edges });
}

/** Those that hang on nothing stand in rows below. */
function withAlone(
  asked: Question,
  tied: ReadonlySet<string>,
  made: Pick<Plan, 'edges'> & { nodes: Record<string, Spot> },
): Plan {
  const bottom = Object.values(made.nodes).reduce(
    (most, spot) => Math.max(most, spot.y + NODE.height / 2),
    0,
  );
  const alone = asked.nodes.filter((id) => !tied.has(id));
  const rows = inRows(alone, bottom > 0 ? bottom + 2 * GAP : 0, asked.alone);
  const nodes = { ...made.nodes, ...rows };
  const spots = Object.values(nodes);
  return {
    nodes,
    edges: made.edges,
    width: Math.max(0, ...spots.map((spot) => spot.x + NODE.width / 2)),
    height: Math.max(0, ...spots.map((spot) => spot.y + NODE.height / 2)),
  };
}
