/** The worker: a question in, a plan out. */

import { arrange } from './arrange';
import type { Question } from './drawing';

addEventListener('message', (event: MessageEvent<Question>) => {
  postMessage({ turn: event.data.turn, plan: arrange(event.data) });
});
