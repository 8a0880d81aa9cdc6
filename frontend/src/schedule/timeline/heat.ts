/** How full it will be while a run is carried: what has room for it, and what has not. */

import type { Capacity } from '../../api/types';
import { MEASURES, type Measure } from './capacity';

export type Need = Readonly<Partial<Record<Measure, number>>>; // shares of all there is

export interface Stretch {
  readonly from: number;
  readonly to: number;
  readonly level: 0 | 1 | 2 | 3; // room, half full, nearly full, no room
}

/** Stretches of the same level from `from` on, without those that have plenty of room. */
export function heat(
  capacity: Capacity,
  need: Need,
  from: number,
  to: number,
): Stretch[] {
  const found: { from: number; to: number; level: Stretch['level'] }[] = [];
  const { times } = capacity;
  const stepMs = ((times[1] ?? 0) - (times[0] ?? 0)) * 1000;
  times.forEach((time, index) => {
    const at = time * 1000;
    if (at + stepMs <= from || at >= to) return;
    const level = levelAt(capacity, need, index);
    const last = found.at(-1);
    if (last?.level === level && last.to >= at) last.to = at + stepMs;
    else found.push({ from: Math.max(at, from), to: at + stepMs, level });
  });
  return found.filter((stretch) => stretch.level > 0);
}

function levelAt(capacity: Capacity, need: Need, index: number): Stretch['level'] {
  const fullest = Math.max(
    ...MEASURES.map((measure) => {
      const share = need[measure] ?? 0;
      return share > 0 ? (capacity[measure][index] ?? 0) + share : 0;
    }),
  );
  if (fullest > 1.001) return 3;
  return fullest > 0.8 ? 2 : fullest > 0.5 ? 1 : 0;
}

interface Amounts {
  readonly cpu_millis: number;
  readonly memory_bytes: number;
  readonly gpus: number;
}

/** What one run takes of all nodes together. */
export function needOf(agent: Amounts, nodes: readonly Amounts[]): Need {
  const share = (of: keyof Amounts) => {
    const all = nodes.reduce((sum, node) => sum + node[of], 0);
    return all > 0 ? agent[of] / all : 0;
  };
  return {
    cpu: share('cpu_millis'),
    memory: share('memory_bytes'),
    gpu: share('gpus'),
  };
}
