/** Where we are, as the address bar says it. All view state lives in the query. */

import { untrack } from 'svelte';

type Patch = Readonly<Record<string, string | null | undefined>>;

class Router {
  path = $state(location.pathname);
  query = $state.raw(new URLSearchParams(location.search));

  start(): () => void {
    const onpop = () => this.#read();
    const onclick = (event: MouseEvent) => this.#follow(event);
    addEventListener('popstate', onpop);
    addEventListener('click', onclick);
    return () => {
      removeEventListener('popstate', onpop);
      removeEventListener('click', onclick);
    };
  }

  get(name: string): string | null {
    return this.query.get(name);
  }

  go(address: string, replace = false): void {
    history[replace ? 'replaceState' : 'pushState'](null, '', address);
    this.#read();
  }

  /** Changes some parts of the query; null takes one out. */
  set(patch: Patch, replace = true): void {
    const query = new URLSearchParams(untrack(() => this.query));
    for (const [name, value] of Object.entries(patch)) {
      if (value) query.set(name, value);
      else query.delete(name);
    }
    const text = query.toString();
    const before = untrack(() => this.query.toString());
    if (text === before) return;
    this.go(untrack(() => this.path) + (text ? `?${text}` : ''), replace);
  }

  #read(): void {
    this.path = location.pathname;
    this.query = new URLSearchParams(location.search);
  }

  #follow(event: MouseEvent): void {
    const plain = !(event.metaKey || event.ctrlKey || event.shiftKey || event.altKey);
    if (!plain || event.button !== 0 || event.defaultPrevented) return;
    const link = (event.target as Element | null)?.closest?.('a[href]');
    if (!(link instanceof HTMLAnchorElement) || link.target) return;
    if (link.hasAttribute('download')) return; // for the browser to keep
    if (link.origin !== location.origin || link.dataset['external'] !== undefined)
      return;
    event.preventDefault();
    this.go(link.pathname + link.search);
  }
}

export const router = new Router();
