/** What most people begin with, for the drawer of a new agent. */

import type { AgentForm } from '../agents/definition';

export interface Template {
  readonly key: string;
  readonly title: string;
  readonly text: string;
  readonly form: Partial<AgentForm>;
}

export const TEMPLATES: readonly Template[] = [
  {
    key: 'weekday',
    title: 'A script every weekday at nine',
    text: 'Starts, does its work, ends. The schedule comes next.',
    form: {
      command: `python3 -c "print('good morning')"`,
      agent_id: 'weekday_script',
      exec_env: 'subprocess',
      kind: 'ephemeral',
    },
  },
  {
    key: 'service',
    title: 'A long-running agent, kept alive',
    text: 'Started once, and started again whenever it ends.',
    form: {
      command: 'python3 -m http.server 8765 --bind 127.0.0.1',
      agent_id: 'my_service',
      exec_env: 'subprocess',
      kind: 'persistent',
    },
  },
  {
    key: 'container',
    title: 'A container from an image',
    text: 'Runs in Docker, away from this machine’s files.',
    form: {
      command: 'python3 -c "print(40 + 2)"',
      agent_id: 'my_container',
      exec_env: 'docker',
      image: 'python:3.13-slim',
      kind: 'ephemeral',
    },
  },
];

export const templateOf = (key: string | null): Template | undefined =>
  TEMPLATES.find((template) => template.key === key);
