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
  if (kind === 'schedule')
    return { href: '/triggers', text: `schedule ${id.slice(0, 8)}` };
  if (kind === 'config')
    return { href: `/settings?q=${encodeURIComponent(id)}`, text: id };
  if (kind === 'token') return { href: '/settings?show=tokens', text: `token ${id}` };
  if (kind === 'hook') return { href: '/triggers?show=hooks', text: `webhook ${id}` };
  if (kind === 'window' || kind === 'calendar')
    return { href: '/triggers?show=days', text: `${kind} ${id}` };
  return null;
}

export interface Change {
  readonly key: string;
  readonly before: unknown;
  readonly after: unknown;
}

type Data = Readonly<Record<string, unknown>>;
const isObject = (value: unknown): value is Data =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const same = (a: unknown, b: unknown): boolean =>
  JSON.stringify(a ?? null) === JSON.stringify(b ?? null);

/** The keys two objects differ in. */
export function differences(before: Data, after: Data): Change[] {
  return [...new Set([...Object.keys(before), ...Object.keys(after)])]
    .filter((key) => !same(before[key], after[key]))
    .map((key) => ({ key, before: before[key], after: after[key] }));
}

function changedIn(data: Data, kind: string): Change[] {
  if (!('before' in data) && !('after' in data)) return [];
  const { before, after } = data;
  if (isObject(before) && isObject(after)) return differences(before, after);
  const [, state] = /^run\.(\w+)$/.exec(kind) ?? [];
  return state
    ? [{ key: 'state', before, after: after ?? state }]
    : [{ key: String(data['key'] ?? 'value'), before, after }];
}

/** What an entry says became of what: its "before" and "after", and pairs such as
 *  "rule_before" and "rule_after". */
export function changesOf(data: Data = {}, kind = ''): Change[] {
  const found = changedIn(data, kind);
  for (const name of Object.keys(data)) {
    const stem = /^(.+)_before$/.exec(name)?.[1];
    if (!stem || !(`${stem}_after` in data)) continue;
    found.push({ key: stem, before: data[name], after: data[`${stem}_after`] });
  }
  return found;
}

/** What else it tells, besides the changes. */
export function factsOf(data: Data = {}): [string, unknown][] {
  const told = /^(before|after|via|.+_before|.+_after)$/;
  return Object.entries(data).filter(
    ([key, value]) =>
      !told.test(key) &&
      value !== null &&
      value !== '' &&
      !(key === 'key' && 'before' in data),
  );
}
