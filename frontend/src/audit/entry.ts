/** A journal entry in words. */

export function actorName(actor: string): string {
  return actor.replace(/^user:/, '');
}

/** "occurrence.moved" -> "occurrence moved"; "run.timed_out" -> "run timed out" */
export function sayKind(kind: string): string {
  return kind.replaceAll('.', ' ').replaceAll('_', ' ');
}

export function sayData(data: Readonly<Record<string, unknown>> | undefined): string {
  return Object.entries(data ?? {})
    .filter(([, value]) => value !== null && value !== '')
    .map(([key, value]) => `${key}: ${sayValue(value)}`)
    .join(', ');
}

const sayValue = (value: unknown): string =>
  typeof value === 'string' ? value : JSON.stringify(value);

/** Where the subject of an entry can be seen. */
export function linkOf(subject: string): { href: string; text: string } | null {
  const [kind, ...rest] = subject.split(':');
  const id = rest.join(':');
  if (!id) return null;
  if (kind === 'run') return { href: `/runs/${id}`, text: `run ${id.slice(0, 8)}` };
  if (kind === 'agent')
    return { href: `/agents?agent=${encodeURIComponent(id)}`, text: id };
  if (kind === 'node') return { href: '/nodes', text: id };
  return null;
}
