/** From what a person typed to a registration. The server has the last word. */

import type { ParsedCommand } from '../api/endpoints';
import type { Environment, Kind, Priority, Registration } from '../api/types';

export interface AgentForm {
  agent_id: string;
  command: string;
  exec_env: Environment;
  image: string;
  kind: Kind;
  priority: Priority;
  cpu: string;
  memory: string;
  gpu: number;
}

export const emptyForm: AgentForm = {
  agent_id: '',
  command: '',
  exec_env: 'subprocess',
  image: '',
  kind: 'ephemeral',
  priority: 'medium',
  cpu: '',
  memory: '',
  gpu: 0,
};

const LAUNCHERS = new Set([
  'python',
  'python3',
  'node',
  'bash',
  'sh',
  'env',
  'uv',
  'run',
]);

/** A name from a command: "python jobs/mail-triage.py --fast" -> "mail_triage". */
export function suggestName(entryPoint: string, args: readonly string[]): string {
  const base = (path: string) => path.split('/').at(-1) ?? path;
  const words = [entryPoint, ...args].filter((word) => !word.startsWith('-'));
  const telling = words.find(
    (word) => !LAUNCHERS.has(base(word).replace(/[\d.]+$/, '')),
  );
  return base(telling ?? entryPoint)
    .replace(/\.\w+$/, '')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '_')
    .replace(/^_+|_+$/g, '')
    .slice(0, 64);
}

/** Only what was stated: the server says what it assumed for the rest. */
export function registrationOf(form: AgentForm, parsed: ParsedCommand): Registration {
  return {
    agent_id: form.agent_id.trim(),
    exec_env: form.exec_env,
    entry_point: parsed.entry_point,
    ...(parsed.args.length > 0 ? { args: parsed.args } : {}),
    ...(Object.keys(parsed.env ?? {}).length > 0 ? { env: parsed.env } : {}),
    kind: form.kind,
    priority: form.priority,
    ...(form.cpu.trim() ? { cpu: cpuOf(form.cpu.trim()) } : {}),
    ...(form.memory.trim() ? { memory: form.memory.trim() } : {}),
    ...(form.gpu > 0 ? { gpu: form.gpu } : {}),
    ...(form.exec_env === 'docker' && form.image.trim()
      ? { docker: { image: form.image.trim() } }
      : {}),
  };
}

/** "2" and "0.5" are cores; "500m" goes as it is. */
function cpuOf(text: string): number | string {
  const number = Number(text);
  return Number.isNaN(number) ? text : number;
}

export function parseRegistration(
  text: string,
): { readonly registration: Registration } | { readonly fault: string } {
  try {
    const value: unknown = JSON.parse(text);
    if (value === null || typeof value !== 'object' || Array.isArray(value)) {
      return { fault: 'A registration is a JSON object: { "agent_id": … }.' };
    }
    return { registration: value as Registration };
  } catch (error) {
    return { fault: `This is not JSON: ${(error as Error).message}` };
  }
}
