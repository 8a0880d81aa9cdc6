/** What the address says the journal is filtered by. Pure. */

import type { AuditFilter } from '../api/audit';

export const NAMES = ['q', 'actor', 'kind', 'object', 'way'] as const;
export const DAYS = ['from', 'to'] as const;

/** Days in the address are whole days of UTC; the last one counts. */
export function filterOf(get: (name: string) => string | null): AuditFilter {
  const plain = Object.fromEntries(NAMES.map((name) => [name, get(name)]));
  return { ...plain, from: startOf(get('from'), 0), to: startOf(get('to'), 1) };
}

function startOf(day: string | null, later: number): string | null {
  const at = day && /^\d{4}-\d{2}-\d{2}$/.test(day) ? Date.parse(`${day}T00:00Z`) : NaN;
  if (Number.isNaN(at)) return null;
  return new Date(at + later * 86_400_000).toISOString();
}
