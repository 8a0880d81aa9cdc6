/** Where the time of a run went, as spans on one axis. */

import type { Run } from '../api/types';

export interface Span {
  readonly key: string;
  readonly name: string;
  readonly kind: 'waited' | 'placed' | 'step' | 'ran';
  readonly outcome: string; // of a step; "" while it goes on
  readonly detail: string;
  readonly from: number;
  readonly to: number;
}

const at = (iso: string | null | undefined): number | null =>
  iso ? Date.parse(iso) : null;

/** The spans in the order they began. What goes on reaches up to `now`. */
export function spansOf(run: Run, now: number): readonly Span[] {
  const ended = at(run.ended_at);
  const marks = [
    { kind: 'waited', name: 'waited', from: at(run.queued_at) },
    { kind: 'placed', name: 'started up', from: at(run.admitted_at) },
    { kind: 'ran', name: 'ran', from: at(run.started_at) },
  ] as const;
  const reached = marks.filter((mark) => mark.from !== null);
  const own = reached.map((mark, index): Span => {
    const from = mark.from ?? now;
    const to = Math.max(from, reached[index + 1]?.from ?? ended ?? now);
    return { key: mark.kind, ...mark, from, to, outcome: '', detail: '' };
  });
  const steps = (run.phases ?? []).map((phase): Span => {
    const from = Date.parse(phase.started_at);
    return {
      key: `${phase.when}-${phase.number}`,
      name: phase.name,
      kind: 'step',
      outcome: phase.outcome,
      detail: phase.detail,
      from,
      to: Math.max(from, at(phase.ended_at) ?? now),
    };
  });
  return [...own, ...steps].sort((a, b) => a.from - b.from);
}
