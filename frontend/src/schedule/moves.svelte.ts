/** Carrying out a move: shown at once, put back when the server refuses, undone on demand. */

import * as api from '../api/endpoints';
import { ApiError, sayError } from '../api/errors';
import type { Scope } from '../api/types';
import { clock as time, duration, plural, moment } from '../core/format';
import { clock } from '../core/clock.svelte';
import { prefs } from '../core/prefs.svelte';
import { toasts } from '../core/toasts.svelte';
import { undo } from '../core/undo.svelte';
import type { Drop } from './carry.svelte';
import type { TimelineStore } from './store.svelte';
import { moveBody } from './verdict.svelte';

/** True when it was moved. What happened is also told in words. */
export async function carryOut(
  store: TimelineStore,
  drop: Drop,
  scope: Scope,
  rowsAreNodes: boolean,
): Promise<boolean> {
  const { placed, target } = drop;
  const putBack = store.showAt(placed.id, target.start, target.end, target.row);
  const base_version = await drop.baseVersion;
  try {
    const said = await api.occurrences.move(placed.item.occurrence ?? '', {
      ...moveBody(placed, target, rowsAreNodes),
      scope,
      dry_run: false,
      ...(base_version === undefined ? {} : { base_version }),
    });
    const what = sayMoved(drop, said.changed_count);
    if (said.undo_token) undo.push(said.undo_token, what);
    else toasts.good(what);
    void store.reload();
    return true;
  } catch (error) {
    putBack();
    const stale = error instanceof ApiError && error.status === 409;
    toasts.bad(`${placed.item.agent} was put back. ${sayError(error)}`);
    if (stale) void store.reload();
    return false;
  }
}

function sayMoved({ placed, target }: Drop, count: number): string {
  const runs = count > 1 ? ` · ${plural(count, 'run')} changed` : '';
  if (target.start === placed.start && target.row === placed.item.row) {
    return `${placed.item.agent} may run ${duration(target.end - target.start)}${runs}`;
  }
  const from = moment(placed.start, prefs.zone, clock.now);
  return `${placed.item.agent} moved ${from} → ${time(target.start, prefs.zone)}${runs}`;
}
