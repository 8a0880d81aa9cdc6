/** What the timeline tells besides its rows and runs. */

/** One stretch of a window in which agents may not start, or alone may. */
export interface TimelineWindow {
  readonly id: string;
  readonly kind: 'blackout' | 'maintenance' | 'allowed';
  readonly name: string;
  readonly from: string;
  readonly to: string;
  readonly scope:
    'all' | Readonly<Partial<Record<'agents' | 'tags' | 'nodes', readonly string[]>>>;
  readonly policy: 'skip' | 'shift' | 'queue';
}

/** An instant of a schedule at which nothing ran, and why. */
export interface TimelinePassed {
  readonly id: string;
  readonly row: string;
  readonly agent: string;
  readonly at: string;
  readonly state: 'skipped' | 'missed';
  readonly reason: string;
  readonly count: number;
}

/** What a run was planned to do, and will. */
export interface PlanFacts {
  readonly due?: string | null; // when it should have started
  readonly late_end?: string | null; // it will have ended by then, most probably (p95)
  readonly start_by_at?: string | null;
  readonly finish_by_at?: string | null;
  readonly at_risk?: string | null; // why a deadline is likely to be missed
}
