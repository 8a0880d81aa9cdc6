/** Which rows the state chips leave. */

import type { AgentStatus, Group, TimelineRow } from '../api/types';
import type { TimelineIndex } from './timeline/layout';

/** For rows that are not agents: which runs a chip stands for. */
const RUNS_OF: Readonly<Record<string, readonly string[]>> = {
  running: ['running', 'suspended', 'stopping'],
  sleeping: ['planned'],
  queued: ['queued', 'admitted'],
  crashed: ['failed', 'timed_out', 'lost'],
  rebooting: ['starting'],
};

export function filterRows(
  rows: readonly TimelineRow[],
  index: TimelineIndex,
  group: Group,
  state: string | null,
  statusOf: (agent: string) => AgentStatus | undefined,
): readonly TimelineRow[] {
  if (!state) return rows;
  if (group === 'agent' && state !== 'queued') {
    return rows.filter((row) => (statusOf(row.id) ?? row.status) === state);
  }
  const wanted = RUNS_OF[state] ?? [];
  const having = new Set<string>();
  for (const placed of index.all()) {
    if (wanted.includes(placed.state)) having.add(placed.item.row);
  }
  return rows.filter((row) => having.has(row.id));
}
