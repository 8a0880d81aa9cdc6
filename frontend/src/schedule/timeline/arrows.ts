/** Which runs hang on the one that is pointed at, and lines between them. No DOM. */

import type { Placed } from './layout';

export interface Edge {
  readonly from: string;
  readonly to: string;
  readonly kind: string;
}

export interface Arrow {
  readonly from: Placed;
  readonly to: Placed;
  readonly kind: string;
}

/** Of each dependant its first run after this one, of each dependency its last before. */
export function arrowsOf(
  placed: Placed,
  edges: readonly Edge[],
  all: Iterable<Placed>,
): Arrow[] {
  const { agent } = placed.item;
  const after = new Map<string, string>();
  const before = new Map<string, string>();
  for (const { from, to, kind } of edges) {
    if (from === agent && to !== agent) after.set(to, kind);
    if (to === agent && from !== agent) before.set(from, kind);
  }
  if (after.size + before.size === 0) return [];
  const next = new Map<string, Placed>();
  const former = new Map<string, Placed>();
  for (const other of all) {
    if (after.has(other.item.agent)) nearer(next, other, placed.start, 1);
    if (before.has(other.item.agent)) nearer(former, other, placed.start, -1);
  }
  return [
    ...[...next].map(([name, to]) => arrow(placed, to, after.get(name))),
    ...[...former].map(([name, from]) => arrow(from, placed, before.get(name))),
  ];
}

const arrow = (from: Placed, to: Placed, kind = ''): Arrow => ({ from, to, kind });

/** Keeps of each agent the run nearest to an instant, after (1) or before it (-1). */
function nearer(
  kept: Map<string, Placed>,
  other: Placed,
  at: number,
  side: 1 | -1,
): void {
  const away = (other.start - at) * side;
  const known = kept.get(other.item.agent);
  const better = !known || away < (known.start - at) * side;
  if (away >= 0 && better) kept.set(other.item.agent, other);
}

/** A curve from the end of one bar to the beginning of another. */
export function curve(x1: number, y1: number, x2: number, y2: number): string {
  const bow = Math.max(24, Math.min(120, Math.abs(x2 - x1) / 2));
  return `M${x1} ${y1} C${x1 + bow} ${y1} ${x2 - bow} ${y2} ${x2} ${y2}`;
}
