import './styles/tokens.css';
import './styles/base.css';
import './styles/table.css';
import './styles/print.css';
import { mount } from 'svelte';
import App from './App.svelte';

// After an upgrade a page's old file may be gone: the new page knows the new names.
// Once only, so that a file that is really missing shows its fault and no endless loop.
const RELOADED = 'kos-reloaded-at';
addEventListener('vite:preloadError', () => {
  const last = Number(sessionStorage.getItem(RELOADED) ?? 0);
  if (Date.now() - last < 60_000) return;
  sessionStorage.setItem(RELOADED, String(Date.now()));
  location.reload();
});

const target = document.getElementById('app');
if (target) mount(App, { target });
