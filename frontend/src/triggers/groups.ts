/** Rules by the kind of thing that fires them, in the order they are shown. Pure. */

import type { Trigger } from '../api/triggers';

export interface Group {
  readonly key: string;
  readonly title: string;
  readonly items: readonly Trigger[];
}

const TITLES: Readonly<Record<string, string>> = {
  condition: 'Conditions and sensors',
  webhook: 'Webhooks',
  run: 'Ends of other runs',
  file: 'Files',
  node: 'Nodes',
  sun: 'The sun',
  clock: 'Clocks',
};

const groupKey = (trigger: Trigger): string => trigger.source ?? trigger.family;

/** Groups without a rule are left out. */
export function grouped(triggers: readonly Trigger[]): readonly Group[] {
  return Object.entries(TITLES)
    .map(([key, title]) => ({
      key,
      title,
      items: triggers.filter((trigger) => groupKey(trigger) === key),
    }))
    .filter((group) => group.items.length > 0);
}

/** "user:anna" -> "anna, on a page"; who asked for a run no schedule asked for. */
export function sayAsker(by: string): string {
  const [family, ...rest] = by.split(':');
  const name = rest.join(':');
  if (!name) return by;
  const ways: Readonly<Record<string, string>> = {
    user: 'from a page',
    token: 'over the API',
    voice: 'by voice',
    command: 'by command',
    run: 'by its own run',
  };
  return ways[family ?? ''] ? `${name}, ${ways[family ?? '']}` : by;
}

/** A value of a sensor as people read it. */
export function sayValue(value: unknown, unit: string | null | undefined): string {
  if (value === null || value === undefined) return '–';
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return unit ? `${text} ${unit}` : text;
}
