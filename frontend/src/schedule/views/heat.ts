/** How full the machines are through a day, as stops of a gradient. Pure. */

import type { Capacity } from '../../api/types';
import { MEASURES, type Measure } from '../timeline/capacity';

export type Need = Readonly<Record<Measure, number>>; // fractions of what there is

export interface Stop {
  readonly from: number; // 0 to 1 of the day
  readonly to: number;
  readonly full: number; // the fullest of memory, CPU, GPU and slots
  readonly fits: boolean;
}

/** The stretches of [from, to), each as long as a step of the capacity. */
export function stops(
  capacity: Capacity,
  from: number,
  to: number,
  need: Need | null,
): Stop[] {
  const { times } = capacity;
  const step = ((times[1] ?? 0) - (times[0] ?? 0)) * 1000;
  const found: Stop[] = [];
  times.forEach((time, index) => {
    const at = time * 1000;
    if (at + step <= from || at >= to) return;
    let full = 0;
    let fits = true;
    for (const measure of MEASURES) {
      const used = capacity[measure][index] ?? 0;
      full = Math.max(full, used);
      const more = need?.[measure] ?? 0;
      if (need ? more > 0 && used + more > 1.001 : used >= 1) fits = false;
    }
    const share = (t: number) => Math.min(1, Math.max(0, (t - from) / (to - from)));
    const last = found.at(-1);
    const level = Math.round(Math.min(full, 1) * 10) / 10;
    if (last?.fits === fits && last.full === level) {
      found[found.length - 1] = { ...last, to: share(at + step) };
    } else found.push({ from: share(at), to: share(at + step), full: level, fits });
  });
  return found;
}
