/** What lies over every page: the command palette, or the list of keys. */

class Overlay {
  shown = $state<'palette' | 'keys' | null>(null);

  toggle(name: 'palette' | 'keys'): void {
    this.shown = this.shown === name ? null : name;
  }

  close(): void {
    this.shown = null;
  }
}

export const overlay = new Overlay();
