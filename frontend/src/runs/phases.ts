/** Where the time of a run went, as spans on one axis. */

import type { FrozenSpan } from '../api/run_lists';
import type { Run, RunState } from '../api/types';

export interface Span {
  readonly key: string;
  readonly name: string;
  readonly kind: 'waited' | 'placed' | 'step' | 'ran' | 'frozen';
  readonly outcome: string; // of a step; "" while it goes on
  readonly detail: string;
  readonly from: number;
  readonly to: number;
}

const at = (iso: string | null | undefined): number | null =>
  iso ? Date.parse(iso) : null;

/** The spans in the order they began. What goes on reaches up to `now`. */
export function spansOf(
  run: Run & { readonly frozen?: readonly FrozenSpan[] },
  now: number,
): readonly Span[] {
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
  const frozen = (run.frozen ?? []).map((span, number): Span => {
    const from = Date.parse(span.from);
    return {
      key: `frozen-${number}`,
      name: 'frozen',
      kind: 'frozen',
      outcome: 'frozen',
      detail: span.reason ?? '',
      from,
      to: Math.max(from, at(span.to) ?? now),
    };
  });
  return [...own, ...steps, ...frozen].sort((a, b) => a.from - b.from);
}

/** How long a program was let run, without the time it was frozen. */
export function ranMs(run: Run, now: number): number {
  const began = at(run.started_at);
  if (began === null) return 0;
  return Math.max(0, (at(run.ended_at) ?? now) - began - frozenMs(run, now));
}

export function frozenMs(run: Run, now: number): number {
  const since = at(run.suspended_at);
  const still = since === null ? 0 : Math.max(0, (at(run.ended_at) ?? now) - since);
  return (run.frozen_s ?? 0) * 1000 + still;
}

const FIRST: Readonly<Partial<Record<RunState, string>>> = {
  cancelled: 'It was stopped or taken back.',
  preempted: 'It had to make room for a run of higher priority.',
  suspended: 'It is frozen: it keeps its memory and uses no CPU.',
  stopping: 'It is asked to end.',
};
/** Said only when the scheduler gave no reason of its own. */
const ELSE: Readonly<Partial<Record<RunState, string>>> = {
  timed_out: 'It took longer than it may.',
  lost: 'Nobody saw how it ended.',
};

/** How a run ended or why it stands still, as a person would say it, and only once. */
export function endingOf(run: Run): string {
  if (run.oom_killed) return 'It was ended because it ran out of memory.';
  if (run.state === 'succeeded') return 'It did its work and ended with 0.';
  const reason = run.reason ?? '';
  if (run.state === 'failed') return failureOf(run, reason);
  const said = reason ? sentence(reason) : (ELSE[run.state] ?? '');
  return `${FIRST[run.state] ?? ''} ${said}`.trim();
}

function failureOf(run: Run, reason: string): string {
  if (/^exit code \d+$/.test(reason)) return `It failed with ${reason}.`;
  if (reason.startsWith('ended by ')) return `It was ${reason}.`;
  const first = run.signal
    ? `It was ended by signal ${run.signal}.`
    : run.exit_code === null
      ? 'It failed.'
      : `It failed with exit code ${run.exit_code}.`;
  return reason ? `${first} ${sentence(reason)}` : first;
}

const sentence = (text: string): string =>
  text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? '' : '.');
