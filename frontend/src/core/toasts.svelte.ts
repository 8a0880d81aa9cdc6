/** Short messages at the edge of the page; the one with Undo stays longest. */

export interface Toast {
  readonly id: number;
  readonly tone: 'info' | 'good' | 'bad';
  readonly text: string;
  readonly action?: { readonly label: string; readonly run: () => void };
}

class Toasts {
  list = $state.raw<readonly Toast[]>([]);
  #next = 1;

  show(text: string, options: Partial<Omit<Toast, 'id' | 'text'>> = {}): number {
    const id = this.#next++;
    const toast: Toast = { id, text, tone: options.tone ?? 'info', ...options };
    this.list = [...this.list.slice(-3), toast];
    const staysMs = toast.action ? 12_000 : toast.tone === 'bad' ? 9000 : 5000;
    setTimeout(() => this.dismiss(id), staysMs);
    return id;
  }

  good(text: string): number {
    return this.show(text, { tone: 'good' });
  }

  bad(text: string): number {
    return this.show(text, { tone: 'bad' });
  }

  dismiss(id: number): void {
    this.list = this.list.filter((toast) => toast.id !== id);
  }
}

export const toasts = new Toasts();
