/** Carrying out a move: shown at once, put back when the server refuses, undone on demand. */

import * as api from '../api/endpoints';
import { ApiError, sayError } from '../api/errors';
import type { Downstream } from '../api/timeline_parts';
import type { Scope } from '../api/types';
import { clock as time, duration, plural, moment } from '../core/format';
import { clock } from '../core/clock.svelte';
import { prefs } from '../core/prefs.svelte';
import { toasts } from '../core/toasts.svelte';
import { byToken, undo } from '../core/undo.svelte';
import type { Drop } from './carry.svelte';
import type { TimelineStore } from './store.svelte';
import type { Target } from './timeline/drag';
import type { Placed } from './timeline/layout';
import { moveBody, Verdict, type Refusal } from './verdict.svelte';

/** True when it was moved. What happened is also told in words. */
export async function carryOut(
  store: TimelineStore,
  drop: Drop,
  scope: Scope,
  rowsAreNodes: boolean,
  downstream: Downstream = 'keep',
): Promise<boolean> {
  const { placed, target } = drop;
  const putBack = store.showAt(placed.id, target.start, target.end, target.row);
  const base_version = await drop.baseVersion;
  const along = downstream === 'shift' ? { downstream } : {};
  const where = moveBody(placed, target, rowsAreNodes);
  const body = { ...where, ...along, scope, dry_run: false };
  const occurrence = placed.item.occurrence ?? placed.item.run ?? '';
  const again = async () =>
    byToken((await api.occurrences.move(occurrence, body)).undo_token ?? '');
  try {
    const said = await api.occurrences.move(occurrence, {
      ...body,
      ...(base_version === undefined ? {} : { base_version }),
    });
    const what = sayMoved(drop, said.changed_count);
    if (said.undo_token) undo.push(said.undo_token, what, again);
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

/** A run put somewhere without having been carried there. */
export function dropAt(placed: Placed, target: Target, rowsAreNodes: boolean): Drop {
  const verdict = new Verdict();
  verdict.begin(placed, rowsAreNodes);
  verdict.consider(target);
  return {
    placed,
    target,
    baseVersion: verdict.baseVersion(),
    refusal: verdict.lastWord(),
    leads: () => verdict.leads,
  };
}

/** Says why it stays where it was, and offers the nearest free slot. */
export function refuse(
  { placed, target }: Drop,
  { text, nearest }: Refusal,
  put: (target: Target, placed: Placed) => void,
): void {
  const why = `${placed.item.agent} stays where it was: ${text || 'it cannot go there'}.`;
  if (!nearest) return void toasts.bad(why);
  const start = Date.parse(nearest.start);
  const free = { ...target, start, end: start + (target.end - target.start) };
  toasts.show(why, {
    tone: 'bad',
    action: {
      label: `Nearest free slot ${time(start, prefs.zone)}`,
      run: () => put(free, placed),
    },
  });
}

function sayMoved({ placed, target }: Drop, count: number): string {
  const runs = count > 1 ? ` · ${plural(count, 'run')} changed` : '';
  if (target.start === placed.start && target.row === placed.item.row) {
    return `${placed.item.agent} may run ${duration(target.end - target.start)}${runs}`;
  }
  const from = moment(placed.start, prefs.zone, clock.now);
  return `${placed.item.agent} moved ${from} → ${time(target.start, prefs.zone)}${runs}`;
}
