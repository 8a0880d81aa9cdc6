/** Who is here and what their role allows. The server decides; this only hides buttons. */

import * as api from '../api/endpoints';
import type { Me, Role } from '../api/types';

const RANK: Readonly<Record<Role, number>> = {
  viewer: 0,
  operator: 1,
  editor: 2,
  admin: 3,
};

class Session {
  me = $state.raw<Me | null>(null);

  async load(): Promise<void> {
    this.me = await api.me();
  }

  has(role: Role): boolean {
    return this.me !== null && RANK[this.me.role] >= RANK[role];
  }

  /** Start, stop and move single runs. */
  get operates(): boolean {
    return this.has('operator');
  }

  /** Change agents and schedules. */
  get edits(): boolean {
    return this.has('editor');
  }
}

export const session = new Session();
