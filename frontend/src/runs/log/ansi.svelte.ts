/** Terminal colours as parts of a line. The library comes with the first that needs it. */

type Anser = typeof import('anser');

export interface Part {
  readonly text: string;
  readonly classes: string;
}

const ESCAPE = String.fromCharCode(27);
let anser = $state.raw<Anser | null>(null);
let asked = false;

export const isColoured = (text: string): boolean => text.includes(ESCAPE);

function load(): void {
  if (asked) return;
  asked = true;
  void import('anser').then((module) => {
    const given = module as unknown as { default?: Anser & { default?: Anser } };
    anser = given.default?.default ?? given.default ?? (module as unknown as Anser);
  });
}

/** Until the library is there, the text without its colours. */
export function partsOf(text: string): readonly Part[] {
  if (!anser) {
    load();
    const plain = text.replaceAll(new RegExp(`${ESCAPE}\\[[0-9;?]*[A-Za-z]`, 'g'), '');
    return [{ text: plain, classes: '' }];
  }
  const entries = anser.ansiToJson(text, { use_classes: true, remove_empty: true });
  return entries.map((entry) => ({
    text: entry.content,
    classes: [
      entry.fg && `fg ${entry.fg}`,
      entry.bg && `bg bg-${entry.bg}`,
      ...entry.decorations,
    ]
      .filter(Boolean)
      .join(' '),
  }));
}
