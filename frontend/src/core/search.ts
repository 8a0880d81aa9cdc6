/** Loose matching for the command palette: letters in order, beginnings of words first. */

/** Higher is better; null when `text` does not hold the letters of `query` in order. */
function score(query: string, text: string): number | null {
  const wanted = query.toLowerCase().replaceAll(' ', '');
  const lower = text.toLowerCase();
  let total = 0;
  let at = -1;
  for (const letter of wanted) {
    const next = lower.indexOf(letter, at + 1);
    if (next < 0) return null;
    const startsWord = next === 0 || /[\s_\-.:/]/.test(lower[next - 1] ?? '');
    total += startsWord ? 8 : next === at + 1 ? 5 : 1;
    at = next;
  }
  return total - lower.length / 50;
}

export function search<T>(
  query: string,
  entries: readonly T[],
  textOf: (entry: T) => string,
  limit: number,
): T[] {
  if (!query.trim()) return entries.slice(0, limit);
  const ranked: { entry: T; rank: number }[] = [];
  for (const entry of entries) {
    const rank = score(query, textOf(entry));
    if (rank !== null) ranked.push({ entry, rank });
  }
  ranked.sort((a, b) => b.rank - a.rank);
  return ranked.slice(0, limit).map(({ entry }) => entry);
}
