/** What the timeline tells besides its rows and runs. */

import type { Priority } from './types';

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

/** An instant that did not run, or several in a row with one outcome. */
export interface PassedOver {
  readonly id: string;
  readonly schedule: string;
  readonly row: string;
  readonly agent: string;
  readonly start: string;
  readonly end: string;
  readonly count: number;
  readonly state: 'skipped' | 'missed';
  readonly why: string;
  readonly priority: Priority;
}

/** Who follows the one that is moved, and what becomes of it. */
export interface Behind {
  readonly agent: string;
  readonly occurrence: string | null; // null: it has no time of its own
  readonly how: 'follows' | 'late' | 'before' | 'keeps' | 'shifted';
  readonly late_s: number;
  readonly text: string;
}
export type Downstream = 'keep' | 'shift';
/** What a move tells of those that depend on what is moved. */
export interface BehindResult {
  readonly downstream?: readonly Behind[];
  readonly downstream_refused?: readonly {
    readonly agent: string;
    readonly reason: string;
  }[];
}

/** By when it must have started and ended, and whether it will. */
export interface DeadlineFacts {
  readonly start_by_at?: string | null;
  readonly finish_by_at?: string | null;
  readonly at_risk?: string | null; // why a deadline is likely to be missed
  readonly deadline_missed?: readonly ('start' | 'finish')[];
}

/** What a run was planned to do, and will. */
export interface PlanFacts extends DeadlineFacts {
  readonly end_p95?: string | null; // 95 of 100 like it have ended by then
  readonly end_movable?: boolean; // it runs, and its end edge can be dragged
}

/** Many runs too close together to be drawn one by one. */
export interface TimelineBand {
  readonly row: string;
  readonly from: string;
  readonly to: string;
  readonly count: number;
  readonly failed: number;
  readonly label: string;
  readonly schedule?: string; // what is planned of one schedule
}
