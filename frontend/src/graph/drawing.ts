/** What is drawn, where it is laid, and how one walks through it. Pure. */

export interface DrawnNode {
  readonly id: string;
  readonly title: string;
  readonly state: string; // the colour, by the names of ui/Dot
  readonly word: string; // the state in words
  readonly detail: string; // below it: last and next run
  readonly critical: boolean;
  readonly faint?: boolean; // no agent of that name
}

export interface DrawnEdge {
  readonly id: string;
  readonly from: string;
  readonly to: string;
  readonly label: string; // its condition
  readonly tone: 'plain' | 'good' | 'bad';
  readonly dashed: boolean;
  readonly critical: boolean;
}

export interface Spot {
  readonly x: number; // of its middle
  readonly y: number;
}
export type Direction = 'LR' | 'TB';

export interface Plan {
  readonly width: number;
  readonly height: number;
  readonly nodes: Readonly<Record<string, Spot>>;
  readonly edges: Readonly<Record<string, readonly Spot[]>>;
}

export interface Question {
  readonly turn: number;
  readonly direction: Direction;
  readonly alone: number; // how many that hang on nothing stand beside each other
  readonly nodes: readonly string[];
  readonly edges: readonly { readonly id: string; from: string; to: string }[];
}

export const NODE = { width: 196, height: 62 } as const;
export const GAP = 22;

type Ends = Pick<DrawnEdge, 'from' | 'to'>;

/** Same text, same layout: states come and go without moving anything. */
export function shapeOf(nodes: readonly string[], edges: readonly DrawnEdge[]): string {
  return JSON.stringify([nodes, edges.map((edge) => edge.id)]);
}

/** Those that stand on their own, in rows below `top`. */
export function inRows(
  ids: readonly string[],
  top: number,
  across: number,
): Record<string, Spot> {
  const spots: Record<string, Spot> = {};
  ids.forEach((id, index) => {
    const [column, row] = [index % across, Math.floor(index / across)];
    spots[id] = {
      x: column * (NODE.width + GAP) + NODE.width / 2,
      y: top + row * (NODE.height + GAP) + NODE.height / 2,
    };
  });
  return spots;
}

/** Everything before and after `id`, and itself. */
export function related(id: string, edges: readonly Ends[]): Set<string> {
  const found = new Set([id]);
  for (const [here, there] of [
    ['from', 'to'],
    ['to', 'from'],
  ] as const) {
    const next = [id];
    const seen = new Set(next);
    for (let at = next.pop(); at !== undefined; at = next.pop()) {
      for (const edge of edges) {
        if (edge[here] !== at || seen.has(edge[there])) continue;
        seen.add(edge[there]);
        found.add(edge[there]);
        next.push(edge[there]);
      }
    }
  }
  return found;
}

/** Which node an arrow key leads to: along an edge where one goes that way. */
export function walk(
  from: string,
  key: string,
  plan: Plan,
  edges: readonly Ends[],
  direction: Direction,
): string | null {
  const [forth, back] =
    direction === 'LR' ? ['ArrowRight', 'ArrowLeft'] : ['ArrowDown', 'ArrowUp'];
  const here = plan.nodes[from];
  if (!here) return null;
  const along =
    key === forth
      ? edges.filter((edge) => edge.from === from).map((edge) => edge.to)
      : key === back
        ? edges.filter((edge) => edge.to === from).map((edge) => edge.from)
        : [];
  return nearest(here, along, plan) ?? towards(from, here, key, plan);
}

function nearest(here: Spot, ids: readonly string[], plan: Plan): string | null {
  let best: { id: string; far: number } | null = null;
  for (const id of ids) {
    const spot = plan.nodes[id];
    if (!spot) continue;
    const far = Math.hypot(spot.x - here.x, spot.y - here.y);
    if (!best || far < best.far) best = { id, far };
  }
  return best?.id ?? null;
}

/** Where no edge leads that way: the next one there, the straighter the better. */
function towards(from: string, here: Spot, key: string, plan: Plan): string | null {
  const dx = key === 'ArrowRight' ? 1 : key === 'ArrowLeft' ? -1 : 0;
  const dy = key === 'ArrowDown' ? 1 : key === 'ArrowUp' ? -1 : 0;
  let best: { id: string; far: number } | null = null;
  for (const [id, spot] of Object.entries(plan.nodes)) {
    const ahead = (spot.x - here.x) * dx + (spot.y - here.y) * dy;
    if (id === from || ahead < 1) continue;
    const aside = Math.abs((spot.x - here.x) * dy) + Math.abs((spot.y - here.y) * dx);
    const far = ahead + aside * 2;
    if (!best || far < best.far) best = { id, far };
  }
  return best?.id ?? null;
}

/** A smooth line through the points, as SVG says it. */
export function lineOf(points: readonly Spot[]): string {
  const [first, ...rest] = points;
  const last = rest.at(-1);
  if (!first || !last) return '';
  let path = `M${first.x} ${first.y}`;
  rest.slice(0, -1).forEach((point, index) => {
    const next = rest[index + 1] ?? point;
    const end =
      index === rest.length - 2
        ? next
        : { x: (point.x + next.x) / 2, y: (point.y + next.y) / 2 };
    path += ` Q${point.x} ${point.y} ${end.x} ${end.y}`;
  });
  return rest.length === 1 ? `${path} L${last.x} ${last.y}` : path;
}

export interface View {
  readonly x: number;
  readonly y: number;
  readonly scale: number;
}
export interface Size {
  readonly width: number;
  readonly height: number;
}
const LEAST = 0.15;
export const MOST = 2;

export function zoomed(view: View, factor: number, at: Spot): View {
  const scale = Math.min(MOST, Math.max(LEAST, view.scale * factor));
  const by = scale / view.scale;
  return { scale, x: at.x - (at.x - view.x) * by, y: at.y - (at.y - view.y) * by };
}

/** All of it in the middle, never larger than life. */
export function fitted(plan: Size, frame: Size, least = LEAST): View {
  const margin = 24;
  const scale = Math.max(
    least,
    Math.min(
      1,
      (frame.width - 2 * margin) / Math.max(plan.width, 1),
      (frame.height - 2 * margin) / Math.max(plan.height, 1),
    ),
  );
  const free = (inside: number, outside: number) =>
    Math.max(margin, (outside - inside * scale) / 2);
  return {
    scale,
    x: free(plan.width, frame.width),
    y: free(plan.height, frame.height),
  };
}

/** The same view, moved as little as it takes to have the node in sight. */
export function showing(view: View, spot: Spot, frame: Size): View {
  const along = (middle: number, half: number, offset: number, length: number) => {
    const [from, to] = [middle - half, middle + half].map(
      (at) => at * view.scale + offset,
    ) as [number, number];
    if (from < 16) return offset + 16 - from;
    return to > length - 16 ? offset - (to - length + 16) : offset;
  };
  return {
    scale: view.scale,
    x: along(spot.x, NODE.width / 2, view.x, frame.width),
    y: along(spot.y, NODE.height / 2, view.y, frame.height),
  };
}
