/** What comes next for some schedules, with moved occurrences where they stand now. */

import * as api from '../api/endpoints';
import type { Schedule } from '../api/types';
import type { Placed } from './timeline/layout';

export interface Firing {
  readonly id: string; // the occurrence
  readonly at: number;
  readonly moved: boolean;
  readonly why: string | null;
  readonly shown: boolean; // it stands on the timeline
}

const SHOWN = 4;

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

export async function firingsOf(
  schedules: readonly Schedule[],
  find: (occurrence: string) => Placed | undefined,
): Promise<Firing[]> {
  const active = schedules.filter((it) => it.enabled && !it.paused).slice(0, 6);
  const lists = await Promise.all(active.map((it) => ofOne(it, find)));
  return lists
    .flat()
    .sort((a, b) => a.at - b.at)
    .slice(0, SHOWN);
}

async function ofOne(
  schedule: Schedule,
  find: (occurrence: string) => Placed | undefined,
): Promise<Firing[]> {
  const preview = await api.schedules.preview(schedule.id, SHOWN).catch(() => null);
  return (preview?.firings ?? []).map((nominal) => {
    const id = occurrenceId(schedule.id, nominal);
    const placed = find(id);
    return {
      id,
      at: placed?.start ?? Date.parse(nominal),
      moved: placed?.item.moved ?? false,
      why: placed?.item.why ?? null,
      shown: placed !== undefined,
    };
  });
}
