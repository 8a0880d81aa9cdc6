import { vi } from 'vitest';

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
}
type Answer = { readonly status?: number; readonly body?: unknown };

/** Stands where the server is: answers what the test says, and keeps what it was asked. */
export function serve(answer: (asked: Asked) => Answer): Asked[] {
  const all: Asked[] = [];
  vi.stubGlobal('fetch', (url: string, init: RequestInit) => {
    const asked: Asked = {
      method: init.method ?? 'GET',
      path: url.replace('/api/v1/', ''),
      headers: init.headers as Record<string, string>,
      body: init.body ? JSON.parse(String(init.body)) : undefined,
    };
    all.push(asked);
    if (init.signal?.aborted) return Promise.reject(new DOMException('', 'AbortError'));
    const { status = 200, body = {} } = answer(asked);
    const text = status === 204 ? null : JSON.stringify(body);
    return Promise.resolve(new Response(text, { status }));
  });
  return all;
}
