/** How agents hang together, asked for when somebody first points at a run. */

import { agentEdges } from '../api/bulk';
import type { Edge } from './timeline/arrows';

const KEPT_MS = 60_000;

export class Dependencies {
  edges = $state.raw<readonly Edge[]>([]);
  #askedAt = -Infinity;

  want(): void {
    if (performance.now() - this.#askedAt < KEPT_MS) return;
    this.#askedAt = performance.now();
    agentEdges().then(
      (found) => (this.edges = found.edges),
      () => (this.#askedAt = -Infinity), // only an extra; asked again next time
    );
  }
}
