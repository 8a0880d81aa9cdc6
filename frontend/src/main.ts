import './styles/tokens.css';
import './styles/base.css';
import './styles/table.css';
import { mount } from 'svelte';
import App from './App.svelte';

// After an upgrade a page's old file may be gone: the new page knows the new names.
addEventListener('vite:preloadError', () => location.reload());

const target = document.getElementById('app');
if (target) mount(App, { target });
