import { afterEach, describe, expect, test, vi } from 'vitest';
import { request, requestAll, urlOf } from '../../src/api/client';
import { ApiError, sayError } from '../../src/api/errors';
import { toasts } from '../../src/core/toasts.svelte';
import { undo } from '../../src/core/undo.svelte';
import { serve } from './server';

afterEach(() => vi.unstubAllGlobals());

describe('a request', () => {
  test('carries the CSRF token when it changes something, and only then', async () => {
    document.cookie = 'csrftoken=secret';
    const asked = serve(() => ({}));
    await request('GET', 'me/');
    await request('POST', 'agents/', { body: { a: 1 }, once: true });
    expect(asked.map((it) => it.headers['X-CSRFToken'])).toEqual([undefined, 'secret']);
    expect(asked[1]?.headers['Idempotency-Key']).toMatch(/^[0-9a-f-]{36}$/);
    expect(asked[1]?.body).toEqual({ a: 1 });
  });

  test('leaves out what is not asked for', () => {
    expect(
      urlOf('runs/', { agent: 'a b', state: undefined, node: '', cursor: null }),
    ).toBe('/api/v1/runs/?agent=a+b');
  });

  test('that is refused says why, field by field', async () => {
    const fields = { cron: ['has 4 fields'] };
    serve(() => ({ status: 400, body: { code: 'invalid', detail: 'No.', fields } }));
    const error = await request('POST', 'schedules/').catch((it: unknown) => it);
    expect(error).toBeInstanceOf(ApiError);
    expect(error).toMatchObject({ status: 400, code: 'invalid' });
    expect(sayError(error)).toBe('No. (cron: has 4 fields)');
    const told = { place: ['where?'], solar: ['where?'] };
    const twice = new ApiError(400, 'invalid', 'place: where?', told);
    expect(sayError(twice)).toBe('place: where?');
  });

  test('that gets no JSON back is told by its status', async () => {
    vi.stubGlobal('fetch', () =>
      Promise.resolve(new Response('<h1>', { status: 502 })),
    );
    await expect(request('GET', 'me/')).rejects.toMatchObject({ code: 'http_502' });
  });

  test('that reaches nobody is called offline, one that was given up is not', async () => {
    vi.stubGlobal('fetch', () => Promise.reject(new TypeError('failed')));
    await expect(request('GET', 'me/')).rejects.toMatchObject({ code: 'offline' });
    vi.stubGlobal('fetch', () => Promise.reject(new DOMException('', 'AbortError')));
    await expect(request('GET', 'me/')).rejects.toMatchObject({ name: 'AbortError' });
  });

  test('for a list goes on until there is no more', async () => {
    const asked = serve(({ path }) => ({
      body: path.includes('cursor')
        ? { items: [3], next: null }
        : { items: [1, 2], next: 'c' },
    }));
    expect(await requestAll('agents/')).toEqual([1, 2, 3]);
    expect(asked).toHaveLength(2);
  });
});

describe('undo', () => {
  test('takes back the last step first, and each only once', async () => {
    const asked = serve(() => ({}));
    undo.push('one', 'first move');
    undo.push('two', 'second move');
    await undo.take();
    await undo.take(1);
    await undo.take();
    expect(asked.map((it) => it.path)).toEqual(['undo/two/', 'undo/one/']);
    expect(toasts.list.at(-1)?.text).toBe('Nothing to undo.');
  });

  test('is taken back itself by redo, which can be undone again', async () => {
    const asked = serve(() => ({}));
    const done: string[] = [];
    undo.push('first', 'a shift', () => {
      done.push('again');
      return Promise.resolve(() => request('POST', 'undo/second/'));
    });
    await undo.take();
    await undo.redo();
    await undo.take();
    expect(done).toEqual(['again']);
    expect(asked.map((it) => it.path)).toEqual(['undo/first/', 'undo/second/']);
    undo.push('else', 'another move');
    await undo.redo();
    expect(toasts.list.at(-1)?.text).toBe('Nothing to do again.');
  });

  test('that the server refuses is told', async () => {
    serve(() => ({ status: 409, body: { code: 'stale', detail: 'ada changed it.' } }));
    undo.push('three', 'third move');
    await undo.take();
    expect(toasts.list.at(-1)).toMatchObject({
      tone: 'bad',
      text: 'Could not undo. ada changed it.',
    });
  });
});
