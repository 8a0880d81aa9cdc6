/** The pages there are. Each is loaded when it is first opened. */

import Bot from '@lucide/svelte/icons/bot';
import CalendarRange from '@lucide/svelte/icons/calendar-range';
import History from '@lucide/svelte/icons/history';
import ListOrdered from '@lucide/svelte/icons/list-ordered';
import Network from '@lucide/svelte/icons/network';
import ScrollText from '@lucide/svelte/icons/scroll-text';
import Server from '@lucide/svelte/icons/server';
import Settings from '@lucide/svelte/icons/settings';
import Zap from '@lucide/svelte/icons/zap';
import type { Component } from 'svelte';

export interface PageInfo {
  readonly path: string;
  readonly name: string;
  readonly key: string; // with "g" before it
  readonly icon: Component;
  readonly behind?: true; // on a phone: behind "More"
  readonly load: () => Promise<{ default: Component<Record<string, never>> }>;
}

export const PAGES: readonly PageInfo[] = [
  {
    path: '/schedule',
    name: 'Schedule',
    key: 's',
    icon: CalendarRange,
    load: () => import('./schedule/SchedulePage.svelte'),
  },
  {
    path: '/agents',
    name: 'Agents',
    key: 'a',
    icon: Bot,
    load: () => import('./agents/AgentsPage.svelte'),
  },
  {
    path: '/queue',
    name: 'Queue',
    key: 'q',
    icon: ListOrdered,
    load: () => import('./queue/QueuePage.svelte'),
  },
  {
    path: '/graph',
    name: 'Graph',
    key: 'g',
    icon: Network,
    behind: true,
    load: () => import('./graph/GraphPage.svelte'),
  },
  {
    path: '/runs',
    name: 'Runs',
    key: 'r',
    icon: History,
    load: () => import('./runs/RunsPage.svelte'),
  },
  {
    path: '/nodes',
    name: 'Nodes',
    key: 'n',
    icon: Server,
    behind: true,
    load: () => import('./nodes/NodesPage.svelte'),
  },
  {
    path: '/triggers',
    name: 'Triggers',
    key: 't',
    icon: Zap,
    behind: true,
    load: () => import('./triggers/TriggersPage.svelte'),
  },
  {
    path: '/audit',
    name: 'Audit',
    key: 'l',
    icon: ScrollText,
    behind: true,
    load: () => import('./audit/AuditPage.svelte'),
  },
  {
    path: '/settings',
    name: 'Settings',
    key: ',',
    icon: Settings,
    behind: true,
    load: () => import('./settings/SettingsPage.svelte'),
  },
];

export function pageOf(path: string): PageInfo | undefined {
  return PAGES.find((page) => path === page.path || path.startsWith(`${page.path}/`));
}
