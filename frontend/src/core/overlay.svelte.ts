/** What lies over every page: the command palette, the list of keys, or a question. */

type Name = 'palette' | 'keys' | 'ask' | 'subscribe';

class Overlay {
  shown = $state<Name | null>(null);
  #text = '';

  toggle(name: Name): void {
    this.shown = this.shown === name ? null : name;
  }

  /** Open the question, with what was typed elsewhere already. */
  ask(text = ''): void {
    this.#text = text;
    this.shown = 'ask';
  }

  /** What the question begins with; once. */
  take(): string {
    const text = this.#text;
    this.#text = '';
    return text;
  }

  close(): void {
    this.shown = null;
  }
}

export const overlay = new Overlay();
