/** What the window is like right now; reactive. */

import { MediaQuery } from 'svelte/reactivity';

export const phone = new MediaQuery('(max-width: 760px)');
