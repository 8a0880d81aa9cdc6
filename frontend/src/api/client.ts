/** A small fetch: JSON both ways, CSRF from the cookie, every failure an ApiError. */

import { ApiError, isAbort } from './errors';
import type { Page } from './types';

const BASE = '/api/v1/';

export type Query = Readonly<
  Record<string, string | number | boolean | null | undefined>
>;

export interface Options {
  readonly query?: Query;
  readonly body?: unknown;
  readonly signal?: AbortSignal;
  readonly once?: boolean; // sends an Idempotency-Key: a repeat creates nothing twice
}

export function csrfToken(): string {
  const cookie = document.cookie
    .split('; ')
    .find((part) => part.startsWith('csrftoken='));
  if (cookie) return decodeURIComponent(cookie.slice('csrftoken='.length));
  const field = document.querySelector<HTMLInputElement>(
    'input[name=csrfmiddlewaretoken]',
  );
  return field?.value ?? '';
}

export function urlOf(path: string, query: Query = {}): string {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== '')
      search.set(key, String(value));
  }
  const text = search.toString();
  return BASE + path + (text ? `?${text}` : '');
}

function headersOf(method: string, options: Options): Record<string, string> {
  const headers: Record<string, string> = { Accept: 'application/json' };
  if (options.body !== undefined) headers['Content-Type'] = 'application/json';
  if (method !== 'GET') headers['X-CSRFToken'] = csrfToken();
  if (options.once) headers['Idempotency-Key'] = crypto.randomUUID();
  return headers;
}

async function failure(response: Response): Promise<ApiError> {
  const said: unknown = await response.json().catch(() => null);
  const { code, detail, fields } = (said ?? {}) as {
    code?: string;
    detail?: string;
    fields?: Record<string, string[]>;
  };
  return new ApiError(
    response.status,
    code ?? `http_${response.status}`,
    detail ?? `The server answered ${response.status}.`,
    fields,
  );
}

function leaveIfLoggedOut(error: ApiError): void {
  const ended =
    error.status === 401 ||
    (error.status === 403 && error.code === 'not_authenticated');
  if (!ended) return;
  const here = location.pathname + location.search;
  location.assign(`/login/?next=${encodeURIComponent(here)}`);
}

export async function request<T>(
  method: string,
  path: string,
  options: Options = {},
): Promise<T> {
  let response: Response;
  try {
    response = await fetch(urlOf(path, options.query), {
      method,
      credentials: 'same-origin',
      headers: headersOf(method, options),
      ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
      ...(options.signal ? { signal: options.signal } : {}),
    });
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new ApiError(0, 'offline', 'The server cannot be reached.');
  }
  if (!response.ok) {
    const error = await failure(response);
    leaveIfLoggedOut(error);
    throw error;
  }
  return (response.status === 204 ? undefined : await response.json()) as T;
}

/** Every page of a list, up to `limit` entries. */
export async function requestAll<T>(
  path: string,
  query: Query = {},
  limit = 2000,
): Promise<T[]> {
  const found: T[] = [];
  let cursor: string | null = null;
  do {
    const page: Page<T> = await request<Page<T>>('GET', path, {
      query: { ...query, limit: 500, cursor },
    });
    found.push(...page.items);
    cursor = page.next;
  } while (cursor && found.length < limit);
  return found;
}
