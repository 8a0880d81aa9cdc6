/** When a run will probably end and by when it must, in words. No DOM, no clock. */

import type { TimelineItem } from '../../api/types';
import { clock as time, moment, relative } from '../../core/format';
import { DAY } from '../../core/time';
import type { Placed } from './layout';

const ONGOING: readonly string[] = ['starting', 'running', 'suspended', 'stopping'];
const WAITING: readonly string[] = ['planned', 'queued', 'admitted'];
const LEAST_MS = 1000; // closer together than this they are said as one

export const isOngoing = (state: string): boolean => ONGOING.includes(state);
export const isToCome = (state: string): boolean => WAITING.includes(state);

/** From its median end to the one that 95 of 100 like it keep; null: nobody knows, or
 * it has passed. */
export function band(
  item: Pick<TimelineItem, 'end_p95'>,
  end: number,
): { readonly from: number; readonly to: number } | null {
  const to = item.end_p95 ? Date.parse(item.end_p95) : NaN;
  return to - end >= LEAST_MS ? { from: end, to } : null;
}

/** "Ends about 14:05, at the latest 14:12." */
export function endWords(placed: Placed, endless: boolean, now: number, zone: string) {
  const { item, state, start, end } = placed;
  if (!isOngoing(state) && !isToCome(state)) return '';
  if (endless) return state === 'planned' ? 'It has no end: it is kept running.' : '';
  if (!item.end_p95) return '';
  const at = (instant: number) =>
    Math.abs(instant - start) < DAY / 2
      ? time(instant, zone)
      : moment(instant, zone, now);
  const latest = Date.parse(item.end_p95);
  if (isOngoing(state) && latest < now) {
    return 'It takes longer than usual: 95 of 100 runs like it have ended by now.';
  }
  const usual = Math.max(end, isOngoing(state) ? now : end);
  const early = at(usual);
  const late = at(Math.max(latest, usual));
  if (early === late) return `Ends about ${early}.`;
  return `Ends about ${early}, at the latest ${late}.`;
}

export interface DeadlineWords {
  readonly text: string;
  readonly tone: 'calm' | 'warn' | 'bad';
}

/** What it must keep, and whether it will. */
export function deadlineWords(
  { item, state }: Placed,
  now: number,
  zone: string,
): DeadlineWords[] {
  const missed = item.deadline_missed ?? [];
  const said: DeadlineWords[] = [];
  const tell = (which: 'start' | 'finish', by: string | null | undefined) => {
    if (!by || (which === 'start' && isOngoing(state))) return;
    const at = Date.parse(by);
    const when = moment(at, zone, now);
    if (missed.includes(which)) {
      const done = which === 'start' ? 'started' : 'finished';
      said.push({ text: `Not ${done} by ${when}, as it had to be.`, tone: 'bad' });
    } else if (isOngoing(state) || isToCome(state)) {
      const verb = which === 'start' ? 'start' : 'finish';
      said.push({
        text: `Must ${verb} by ${when}, ${relative(at, now)}.`,
        tone: item.at_risk ? 'warn' : 'calm',
      });
    }
  };
  tell('start', item.start_by_at);
  tell('finish', item.finish_by_at);
  if (item.at_risk && (isOngoing(state) || isToCome(state))) {
    said.push({ text: `At risk: ${item.at_risk}.`, tone: 'warn' });
  }
  return said;
}
