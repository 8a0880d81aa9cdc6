/** What a person prefers: theme and time zone. Kept in this browser only. */

import { browserZone, isZone } from './time';

export type Theme = 'system' | 'light' | 'dark';
const THEMES: readonly Theme[] = ['system', 'light', 'dark'];

function cookie(name: string): string | null {
  const found = document.cookie.split('; ').find((part) => part.startsWith(`${name}=`));
  return found ? decodeURIComponent(found.slice(name.length + 1)) : null;
}

function keep(name: string, value: string): void {
  document.cookie = `${name}=${encodeURIComponent(value)}; path=/; max-age=31536000; samesite=lax`;
}

function initialZone(): string {
  const kept = cookie('kos_tz');
  return kept && isZone(kept) ? kept : browserZone();
}

class Prefs {
  // A cookie, so that the server can write the theme into the page before any script.
  theme = $state<Theme>(
    THEMES.find((theme) => theme === cookie('kos_theme')) ?? 'system',
  );
  zone = $state(initialZone());

  setTheme(theme: Theme): void {
    this.theme = theme;
    keep('kos_theme', theme);
    document.documentElement.dataset['theme'] = theme;
  }

  setZone(zone: string): void {
    if (!isZone(zone)) return;
    this.zone = zone;
    keep('kos_tz', zone);
  }
}

export const prefs = new Prefs();
