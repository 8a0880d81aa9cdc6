import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Delta } from '../../src/api/types';
import { live, type Listener } from '../../src/live/live.svelte';

let shown: { title: string; tag: string }[] = [];
let answer: NotificationPermission = 'granted';
let listener: Listener = {};
let visibility = 'hidden';

class FakeNotification {
  static permission: NotificationPermission = 'default';
  static requestPermission = () => {
    FakeNotification.permission = answer;
    return Promise.resolve(answer);
  };
  onclick: (() => void) | null = null;
  constructor(title: string, options: { tag: string }) {
    shown.push({ title, tag: options.tag });
  }
  close() {}
}

async function fresh() {
  vi.resetModules();
  const { live: again } = await import('../../src/live/live.svelte');
  vi.spyOn(again, 'listen').mockImplementation((it) => {
    listener = it;
    return () => {};
  });
  const { notices } = await import('../../src/core/notices.svelte');
  notices.start();
  return notices;
}

const say = (...runs: object[]) =>
  listener.onchange?.([{ type: 'delta', n: 1, runs } as unknown as Delta]);
const crash = { uid: 'r1', agent: 'embedder', state: 'failed', reason: 'exit 3' };

beforeEach(() => {
  shown = [];
  answer = 'granted';
  visibility = 'hidden';
  FakeNotification.permission = 'default';
  localStorage.clear();
  vi.stubGlobal('Notification', FakeNotification);
  vi.spyOn(document, 'visibilityState', 'get').mockImplementation(
    () => visibility as DocumentVisibilityState,
  );
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
  expect(live).toBeTruthy();
});

test('nothing is shown before somebody asks for it', async () => {
  const notices = await fresh();
  say(crash);
  expect(notices.on).toBe(false);
  expect(shown).toEqual([]);
});

test('a crash and a deadline are told, each cause once', async () => {
  const notices = await fresh();
  expect(await notices.turnOn()).toBe(true);
  say(crash, crash);
  say(crash);
  say({ uid: 'r2', agent: 'reporter', state: 'running' });
  say({ uid: 'r2', at_risk: true }, { uid: 'r2', deadline_missed: true });
  expect(shown.map((it) => it.title)).toEqual([
    'embedder failed',
    'reporter will probably miss its deadline',
    'reporter missed its deadline',
  ]);
});

test('what ends well is not told, and nothing while the page is in sight', async () => {
  const notices = await fresh();
  await notices.turnOn();
  say({ uid: 'r3', agent: 'a', state: 'succeeded' });
  visibility = 'visible';
  say(crash);
  visibility = 'hidden';
  say(crash); // it was seen on the page already
  expect(shown).toEqual([]);
});

test('the wish is kept, and can be taken back', async () => {
  await (await fresh()).turnOn();
  const again = await fresh();
  expect(again.on).toBe(true);
  again.turnOff();
  say(crash);
  expect(shown).toEqual([]);
  expect((await fresh()).on).toBe(false);
});

test('a browser that refuses says why', async () => {
  answer = 'denied';
  const notices = await fresh();
  expect(await notices.turnOn()).toBe(false);
  expect(notices.why).toContain('blocks');
});
