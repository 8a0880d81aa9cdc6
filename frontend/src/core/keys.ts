/** Keyboard shortcuts of the whole application: single keys and pairs such as "g s". */

const PAIR_MS = 1200;

export interface Shortcuts {
  readonly [keys: string]: () => void;
}

function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable || target.matches('input, select, textarea'))
  );
}

export const isMac = (): boolean => /Mac|iPhone|iPad/.test(navigator.platform);

/** "mod+k": Ctrl on most keyboards, Command on a Mac; "mod+shift+z" with Shift. */
function nameOf(event: KeyboardEvent): string {
  const mod = event.ctrlKey || event.metaKey ? 'mod+' : '';
  const shift = mod && event.shiftKey ? 'shift+' : '';
  return mod + shift + (event.key.length === 1 ? event.key.toLowerCase() : event.key);
}

/** A handler for keydown that runs what `find` names and remembers the first of a pair. */
export function shortcutHandler(find: () => Shortcuts): (event: KeyboardEvent) => void {
  let first = '';
  let firstAt = 0;
  return (event) => {
    if (event.altKey || event.defaultPrevented) return;
    const name = nameOf(event);
    if (isTyping(event.target) && !['mod+k'].includes(name)) return;
    const shortcuts = find();
    const pair =
      event.timeStamp - firstAt < PAIR_MS ? shortcuts[`${first} ${name}`] : null;
    const run = pair ?? shortcuts[name];
    first = name;
    firstAt = event.timeStamp;
    if (!run) return;
    event.preventDefault();
    run();
  };
}
