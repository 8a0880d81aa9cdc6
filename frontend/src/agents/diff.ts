/** What changed between two definitions, key by key, as a person reads it. */

export interface Change {
  readonly path: string;
  readonly before: string | null; // null: it was not there
  readonly after: string | null;
}

type Flat = ReadonlyMap<string, string>;

function flatten(value: unknown, path: string, into: Map<string, string>): void {
  const isBranch = value !== null && typeof value === 'object';
  const entries = isBranch ? Object.entries(value) : [];
  if (entries.length === 0) {
    into.set(path, JSON.stringify(value));
    return;
  }
  for (const [key, inner] of entries) {
    const step = Array.isArray(value) ? `[${key}]` : path ? `.${key}` : key;
    flatten(inner, path + step, into);
  }
}

export function flat(definition: unknown): Flat {
  const found = new Map<string, string>();
  flatten(definition, '', found);
  return found;
}

export function changes(before: unknown, after: unknown): readonly Change[] {
  const [old, now] = [flat(before), flat(after)];
  const paths = [...new Set([...old.keys(), ...now.keys()])];
  return paths
    .filter((path) => old.get(path) !== now.get(path))
    .map((path) => ({
      path,
      before: old.get(path) ?? null,
      after: now.get(path) ?? null,
    }))
    .sort((a, b) => a.path.localeCompare(b.path, 'en', { numeric: true }));
}
