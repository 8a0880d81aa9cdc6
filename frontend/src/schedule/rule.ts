/** When a new schedule runs, as its form holds it. */

import type { ScheduleDraft } from '../api/types';
import { instantOf } from '../core/time';

export type How = 'words' | 'every' | 'cron' | 'sun' | 'once';
export type Side = 'at' | 'before' | 'after';

export interface Rule {
  how: How;
  words: string;
  every: number;
  unit: keyof typeof UNIT_S;
  cron: string;
  sun: string; // sunrise, sunset, …
  side: Side;
  minutes: number; // before or after it
  latitude: number | null; // null: the configured place
  longitude: number | null;
  wall: string; // local date and time, as the input holds it
  timezone: string;
}
export const UNIT_S = { s: 1, m: 60, h: 3600, d: 86_400 } as const;
export const SUN = ['sunrise', 'sunset', 'dawn', 'dusk', 'noon'] as const;

/** The part of a schedule that says when; null while it is not complete. */
export function draftOf(rule: Rule): ScheduleDraft | null {
  const when = ruleOf(rule);
  return when && { ...when, timezone: rule.timezone };
}

function ruleOf(rule: Rule): ScheduleDraft | null {
  switch (rule.how) {
    case 'words':
      return rule.words.trim() ? { rule: rule.words.trim() } : null;
    case 'cron':
      return rule.cron.trim() ? { cron: rule.cron.trim() } : null;
    case 'every':
      return rule.every > 0 ? { interval: rule.every * UNIT_S[rule.unit] } : null;
    case 'sun':
      return sunOf(rule);
    case 'once': {
      if (!rule.wall) return null;
      const wall = Date.parse(`${rule.wall.padEnd(19, ':00')}Z`);
      return { run_at: new Date(instantOf(wall, rule.timezone)).toISOString() };
    }
  }
}

function sunOf(rule: Rule): ScheduleDraft | null {
  const sign = { at: 0, before: -1, after: 1 }[rule.side];
  if (sign !== 0 && !(rule.minutes > 0)) return null;
  const offset = sign === 0 ? '' : `${sign < 0 ? '-' : '+'}${rule.minutes}m`;
  const { latitude, longitude } = rule;
  const place =
    latitude === null || longitude === null ? {} : { place: { latitude, longitude } };
  return { solar: `${rule.sun}${offset}`, ...place };
}
