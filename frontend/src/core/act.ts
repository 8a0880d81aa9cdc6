/** Does something on the server and says how it went. */

import { sayError } from '../api/errors';
import { toasts } from './toasts.svelte';

/** True when it worked. */
export async function act(
  doing: () => Promise<unknown>,
  done: string | null,
): Promise<boolean> {
  try {
    await doing();
    if (done) toasts.good(done);
    return true;
  } catch (error) {
    toasts.bad(sayError(error));
    return false;
  }
}
