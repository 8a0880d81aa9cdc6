/** Instants that did not run, as the timeline draws them: marks, not bars. */

import type { ItemState, TimelineItem } from '../../api/types';
import type { PassedOver } from '../../api/timeline_parts';
import { plural } from '../../core/format';

export const isPassed = (state: ItemState): boolean =>
  state === 'skipped' || state === 'missed';

/** Drawn, focused and opened like a run, but nothing can be done with it. */
export function passedItem({ count, ...told }: PassedOver): TimelineItem {
  return {
    ...told,
    run: null,
    occurrence: count === 1 ? told.id : null,
    moved: false,
    repeating: true,
    movable: false,
    count,
  };
}

/** "skipped", "13 instants missed" */
export function passedWords({ state, count = 1 }: TimelineItem): string {
  return count === 1 ? state : `${plural(count, 'instant')} ${state}`;
}
