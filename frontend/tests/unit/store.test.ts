import { afterEach, describe, expect, test, vi } from 'vitest';
import type { RunDelta, Timeline, TimelineItem } from '../../src/api/types';
import { TimelineStore } from '../../src/schedule/store.svelte';
import { item } from './examples';
import { serve, type Asked } from './server';

afterEach(() => vi.unstubAllGlobals());

const DAY = Date.parse('2026-11-23T00:00:00Z');
const WANTED = { from: DAY, to: DAY + 86_400_000, group: 'agent', q: '' } as const;
const planned = item('s1@20261123T001000Z', 10, 15, { row: 'embedder' });

function snapshot(now: string, ...items: TimelineItem[]): Timeline {
  const rows = [{ id: 'embedder', title: 'embedder' }];
  return { rows, items, bands: [], capped: false, version: 1, now };
}

async function loaded(...snapshots: Timeline[]): Promise<[TimelineStore, Asked[]]> {
  const left = [...snapshots];
  const asked = serve(({ path }) => ({
    body: path.startsWith('timeline/')
      ? left.length > 1
        ? left.shift()
        : left[0]
      : {},
  }));
  const store = new TimelineStore();
  await store.load(WANTED);
  return [store, asked];
}

const running: RunDelta = {
  uid: 'run1',
  agent: 'embedder',
  state: 'running',
  at: '2026-11-23T00:10:01Z',
  started_at: '2026-11-23T00:10:01Z',
  occurrence: planned.id,
};
const delta = (run: RunDelta) => ({ type: 'delta', n: 1, runs: [run] }) as const;
const timelines = (asked: readonly Asked[]) =>
  asked.filter((it) => it.path.startsWith('timeline/')).length;

describe('live changes', () => {
  test('a run takes the place of the occurrence it came from', async () => {
    const [store] = await loaded(snapshot('2026-11-23T00:09:00Z', planned));
    expect(store.apply([delta(running)])).toBe(false);
    expect(store.get(planned.id)).toBeUndefined();
    expect(store.get('run1')).toMatchObject({ state: 'running' });
  });

  test('progress alone is taken in, and stays when the state changes', async () => {
    const [store] = await loaded(snapshot('2026-11-23T00:09:00Z', planned));
    store.apply([delta(running)]);
    const told = { uid: 'run1', agent: 'embedder', progress: 0.42 } as RunDelta;
    store.apply([delta(told)]);
    expect(store.get('run1')?.item).toMatchObject({ state: 'running', progress: 0.42 });
    store.apply([delta({ ...running, state: 'stopping' })]);
    expect(store.get('run1')?.item).toMatchObject({
      state: 'stopping',
      progress: 0.42,
    });
  });

  test('only the row of the run is drawn again', async () => {
    const [store] = await loaded(snapshot('2026-11-23T00:09:00Z', planned));
    const [row, other] = [
      store.revisions.get('embedder'),
      store.revisions.get('other'),
    ];
    store.apply([delta(running)]);
    expect(store.revisions.get('embedder')).not.toBe(row);
    expect(store.revisions.get('other')).toBe(other);
  });

  test('a run on a row we do not have asks for a new snapshot', async () => {
    const [store] = await loaded(snapshot('2026-11-23T00:09:00Z', planned));
    const foreign = { ...running, agent: 'fresh', occurrence: null };
    expect(store.apply([delta(foreign)])).toBe(true);
    expect(store.apply([{ type: 'delta', n: 2, schedules: [{ id: 's1' }] }])).toBe(
      true,
    );
    expect(store.apply([{ type: 'delta', n: 3, agents: [{ agent_id: 'new' }] }])).toBe(
      true,
    );
    expect(
      store.apply([{ type: 'delta', n: 4, agents: [{ agent_id: 'embedder' }] }]),
    ).toBe(false);
  });

  test('a snapshot older than the feed does not take a run back', async () => {
    const [store] = await loaded(snapshot('2026-11-23T00:09:00Z', planned));
    store.apply([delta(running)]);
    await store.reload();
    expect(store.get('run1')).toMatchObject({ state: 'running' });
    expect(store.get(planned.id)).toBeUndefined();
  });
});

describe('a resync', () => {
  test('is not needed when the snapshot is newer than the feed', async () => {
    const [store, asked] = await loaded(snapshot('2026-11-23T00:09:00Z', planned));
    await store.need(Date.parse('2026-11-23T00:08:59Z'));
    expect(timelines(asked)).toBe(1);
  });

  test('fetches anew when it is older, once, even if the clocks disagree', async () => {
    const [store, asked] = await loaded(snapshot('2026-11-23T00:09:00Z', planned));
    await store.need(Date.parse('2026-11-23T00:20:00Z'));
    expect(timelines(asked)).toBe(3);
    await store.need(Infinity);
    expect(timelines(asked)).toBeLessThanOrEqual(5);
  });
});

describe('a move that is not answered yet', () => {
  test('is shown at once and can be put back', async () => {
    const [store] = await loaded(snapshot('2026-11-23T00:09:00Z', planned));
    const putBack = store.showAt(
      planned.id,
      DAY + 3_600_000,
      DAY + 3_660_000,
      'embedder',
    );
    expect(store.get(planned.id)?.start).toBe(DAY + 3_600_000);
    expect(store.get(planned.id)?.item.moved).toBe(true);
    putBack();
    expect(store.get(planned.id)?.start).toBe(Date.parse(planned.start));
  });
});

describe('a server that does not answer', () => {
  test('leaves what was seen in sight, and says that it is old', async () => {
    const [store] = await loaded(snapshot('2026-11-23T00:09:00Z', planned));
    serve(() => ({ status: 503, body: { code: 'busy', detail: 'Try later.' } }));
    await store.reload();
    expect(store.phase).toBe('ready');
    expect(store.error).toBe('Try later.');
    expect(store.get(planned.id)).toBeDefined();
  });

  test('at the very first is a failure one can try again', async () => {
    serve(() => ({ status: 503, body: { code: 'busy', detail: 'Try later.' } }));
    const store = new TimelineStore();
    await store.load(WANTED);
    expect(store.phase).toBe('failed');
  });
});
