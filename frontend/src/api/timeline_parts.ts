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

/** What a run was planned to do, and will. */
export interface PlanFacts {
  readonly start_by_at?: string | null;
  readonly finish_by_at?: string | null;
  readonly at_risk?: string | null; // why a deadline is likely to be missed
  readonly end_movable?: boolean; // it runs, and its end edge can be dragged
}
