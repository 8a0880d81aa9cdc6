/** What of an address is a view: how one looks at the schedule, not what is open. Pure. */

const PASSING = ['sel', 'new', 'agent'];
const DAY = ['at', 'date'];

export function viewQuery(query: URLSearchParams, withDay: boolean): string {
  const kept = new URLSearchParams(query);
  for (const name of [...PASSING, ...(withDay ? [] : DAY)]) kept.delete(name);
  return kept.toString();
}

export const hasDay = (query: URLSearchParams): boolean =>
  DAY.some((name) => query.has(name));

const NAMES: Readonly<Record<string, string>> = {
  view: 'view',
  group: 'by',
  q: 'filter',
  state: 'state',
  zoom: 'zoom',
  date: 'day',
  at: 'from',
};

/** "week · filter gpu": what a saved view shows, as far as it can be said in short. */
export function sayView(query: string): string {
  const parts = [...new URLSearchParams(query)].flatMap(([name, value]) => {
    if (!NAMES[name]) return [];
    return [name === 'view' ? value : `${NAMES[name]} ${value}`];
  });
  if (!parts.length) return 'timeline';
  return (query.includes('view=') ? parts : ['timeline', ...parts]).join(' · ');
}
