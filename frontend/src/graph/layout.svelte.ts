/** Asks the worker where everything goes; only the newest answer counts. */

import type { Direction, DrawnEdge, Plan, Question } from './drawing';

export class Layout {
  plan = $state.raw<Plan | null>(null);
  failed = $state(false);
  #worker: Worker | null = null;
  #turn = 0;

  start(): () => void {
    const worker = new Worker(new URL('./layout.worker.ts', import.meta.url), {
      type: 'module',
    });
    worker.onmessage = ({ data }: MessageEvent<{ turn: number; plan: Plan }>) => {
      if (data.turn === this.#turn) this.plan = data.plan;
    };
    worker.onerror = () => (this.failed = true);
    this.#worker = worker;
    return () => worker.terminate();
  }

  ask(
    nodes: readonly string[],
    edges: readonly DrawnEdge[],
    direction: Direction,
    alone: number,
  ): void {
    const question: Question = {
      turn: ++this.#turn,
      direction,
      alone,
      nodes,
      edges: edges.map(({ id, from, to }) => ({ id, from, to })),
    };
    this.#worker?.postMessage(question);
  }
}
