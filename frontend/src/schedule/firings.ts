/** What comes next for some schedules, with moved occurrences where they stand now. */

import * as api from '../api/endpoints';
import type { Schedule } from '../api/types';
import type { Placed } from './timeline/layout';

export interface Firing {
  readonly id: string; // the occurrence
  readonly nominal: number; // when its schedule says
}

export interface ShownFiring extends Firing {
  readonly at: number; // where it stands now
  readonly moved: boolean;
  readonly why: string | null;
}

const SHOWN = 5; // a working week

/** "<schedule>@20261123T104000Z": the id of the occurrence of this nominal instant. */
export function occurrenceId(schedule: string, nominal: string): string {
  const [whole = '', fraction = ''] = new Date(nominal)
    .toISOString()
    .slice(0, -1)
    .split('.');
  const micros =
    /\.(\d{1,6})/.exec(nominal)?.[1]?.padEnd(6, '0') ?? fraction.padEnd(6, '0');
  const stamp = whole.replaceAll('-', '').replaceAll(':', '');
  return `${schedule}@${stamp}${Number(micros) === 0 ? '' : `.${micros}`}Z`;
}

/** The next firings of these schedules by their rules, earliest first. */
export async function firingsOf(schedules: readonly Schedule[]): Promise<Firing[]> {
  const active = schedules.filter((it) => it.enabled && !it.paused).slice(0, 6);
  const lists = await Promise.all(active.map(ofOne));
  return lists.flat().sort((a, b) => a.nominal - b.nominal);
}

async function ofOne(schedule: Schedule): Promise<Firing[]> {
  const preview = await api.schedules.preview(schedule.id, SHOWN).catch(() => null);
  return (preview?.firings ?? []).map((nominal) => ({
    id: occurrenceId(schedule.id, nominal),
    nominal: Date.parse(nominal),
  }));
}

/** The same where they stand now: those that were moved at their new time. */
export function showFirings(
  firings: readonly Firing[],
  find: (occurrence: string) => Placed | undefined,
): ShownFiring[] {
  const shown = firings.map((firing) => {
    const placed = find(firing.id);
    return {
      ...firing,
      at: placed?.start ?? firing.nominal,
      moved: placed?.item.moved ?? false,
      why: placed?.item.why ?? null,
    };
  });
  return shown.sort((a, b) => a.at - b.at).slice(0, SHOWN);
}
