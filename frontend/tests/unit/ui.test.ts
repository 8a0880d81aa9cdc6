import { render, screen } from '@testing-library/svelte';
import { tick } from 'svelte';
import { describe, expect, test, vi } from 'vitest';
import { toasts } from '../../src/core/toasts.svelte';
import EnvironmentPicker from '../../src/agents/EnvironmentPicker.svelte';
import Segmented from '../../src/ui/Segmented.svelte';
import Toasts from '../../src/ui/Toasts.svelte';

describe('a choice of few', () => {
  const options = [
    { key: 'a', label: 'A', name: 'by agent' },
    { key: 'b', label: 'B', name: 'by node' },
  ] as const;

  test('is a group of radio buttons, so that arrow keys work', () => {
    const onpick = vi.fn();
    render(Segmented, { legend: 'Group rows', options, value: 'a', onpick });
    expect(screen.getByRole('group', { name: 'Group rows' })).toBeTruthy();
    const [first, second] = screen.getAllByRole<HTMLInputElement>('radio');
    expect(first?.checked).toBe(true);
    second?.click();
    expect(onpick).toHaveBeenCalledWith('b');
  });
});

describe('toasts', () => {
  test('are spoken, and their action works once', async () => {
    const run = vi.fn();
    render(Toasts);
    toasts.show('embedder moved', { tone: 'good', action: { label: 'Undo', run } });
    await tick();
    expect(screen.getByRole('status').textContent).toContain('embedder moved');
    screen.getByRole('button', { name: 'Undo' }).click();
    await tick();
    expect(run).toHaveBeenCalledOnce();
    expect(screen.queryByText('embedder moved')).toBeNull();
  });
});

describe('environments', () => {
  test('that are missing say why and how to get them, and cannot be chosen', () => {
    render(EnvironmentPicker, {
      environments: [
        { name: 'subprocess', available: true, reason: null, install: null },
        { name: 'docker', available: false, reason: 'no engine', install: 'apt-get x' },
      ],
      value: 'subprocess',
      onpick: () => undefined,
    });
    const docker = screen.getByRole<HTMLInputElement>('radio', { name: /docker/ });
    expect(docker.disabled).toBe(true);
    expect(screen.getByText('no engine')).toBeTruthy();
    expect(screen.getByText('apt-get x')).toBeTruthy();
  });
});
