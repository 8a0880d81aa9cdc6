/** What a key means on a run of the timeline. */

export type KeyAct =
  | { readonly kind: 'go'; readonly to: 'left' | 'right' | 'up' | 'down' }
  | { readonly kind: 'shift'; readonly mode: 'move' | 'resize'; readonly steps: number }
  | { readonly kind: 'row'; readonly step: -1 | 1 }
  | { readonly kind: 'drop' | 'cancel' | 'open' | 'dialog' | 'choose' };

export interface KeyPress {
  readonly key: string;
  readonly altKey: boolean;
  readonly shiftKey: boolean;
  readonly ctrlKey: boolean;
  readonly metaKey: boolean;
}

const ARROWS = {
  ArrowLeft: 'left',
  ArrowRight: 'right',
  ArrowUp: 'up',
  ArrowDown: 'down',
} as const;

/** `carrying`: a run has been picked up with Alt+arrows and waits to be put down. */
export function keyAct(press: KeyPress, carrying: boolean): KeyAct | null {
  const arrow = ARROWS[press.key as keyof typeof ARROWS];
  if (arrow) return arrowAct(press, arrow, carrying);
  if (press.key === 'Escape') return carrying ? { kind: 'cancel' } : null;
  if (press.key === 'Enter') return { kind: carrying ? 'drop' : 'open' };
  if (press.key === ' ') return { kind: 'choose' };
  const plain = !press.ctrlKey && !press.metaKey && !press.altKey;
  return press.key === 'm' && plain ? { kind: 'dialog' } : null;
}

function arrowAct(
  press: KeyPress,
  arrow: 'left' | 'right' | 'up' | 'down',
  carrying: boolean,
): KeyAct | null {
  if (!press.altKey && !carrying) return { kind: 'go', to: arrow };
  if (arrow === 'up' || arrow === 'down') {
    return { kind: 'row', step: arrow === 'down' ? 1 : -1 };
  }
  const far = press.ctrlKey ? 12 : 1; // with Ctrl twelve steps at once
  const steps = arrow === 'right' ? far : -far;
  return { kind: 'shift', mode: press.shiftKey ? 'resize' : 'move', steps };
}
