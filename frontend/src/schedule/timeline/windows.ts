/** Windows of time (blackout, maintenance, allowed) as bands behind the rows. */

import type { TimelineWindow } from '../../api/timeline_parts';
import type { Group } from '../../api/types';

export interface WindowBand {
  readonly key: string;
  readonly from: number;
  readonly to: number;
  readonly kind: TimelineWindow['kind'];
  readonly label: string;
  /** The rows it concerns; null: all. */
  readonly rows: ReadonlySet<string> | null;
}

/** What is drawn of the windows that touch [from, to) in this grouping. */
export function windowBands(
  windows: readonly TimelineWindow[],
  group: Group,
  tagsOf: (agent: string) => readonly string[],
  rowIds: readonly string[],
  from: number,
  to: number,
): WindowBand[] {
  return windows.flatMap((window) => {
    const [begin, end] = [Date.parse(window.from), Date.parse(window.to)];
    if (end <= from || begin >= to) return [];
    const rows = rowsOf(window, group, tagsOf, rowIds);
    if (rows?.size === 0) return [];
    const label = `${window.kind}: ${window.name}`;
    const key = `${window.id}${begin}`;
    return [{ key, from: begin, to: end, kind: window.kind, label, rows }];
  });
}

/** Where rows mean something else than what a window names, it is drawn in none. */
function rowsOf(
  { scope }: TimelineWindow,
  group: Group,
  tagsOf: (agent: string) => readonly string[],
  rowIds: readonly string[],
): ReadonlySet<string> | null {
  if (scope === 'all') return null;
  const { agents = [], tags = [], nodes = [] } = scope;
  if (group === 'node') return new Set(nodes);
  if (group === 'tag') return new Set(tags);
  if (group !== 'agent') return new Set();
  const hit = (id: string) =>
    agents.includes(id) || tagsOf(id).some((tag) => tags.includes(tag));
  return new Set(rowIds.filter(hit));
}
