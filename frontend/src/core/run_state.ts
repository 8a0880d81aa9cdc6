/** The life of a run, as far as the page has to know it. */

import type { ItemState, RunState } from '../api/types';

/** How far along each state is; nothing follows a final one. */
const STAGE: Readonly<Record<RunState, number>> = {
  queued: 0,
  admitted: 1,
  starting: 2,
  running: 3,
  suspended: 3,
  stopping: 4,
  succeeded: 5,
  failed: 5,
  cancelled: 5,
  timed_out: 5,
  preempted: 5,
  lost: 5,
};
const FINAL = 5;

export const stageOf = (state: RunState): number => STAGE[state];

/** Of instants too: one that was skipped or missed stays that. */
export const isFinal = (state: Exclude<ItemState, 'planned'>): boolean =>
  state === 'skipped' || state === 'missed' || STAGE[state] === FINAL;
