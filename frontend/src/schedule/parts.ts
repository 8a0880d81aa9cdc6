/** What opens beside or over the schedule, loaded when it first does. */
export const parts = {
  CreateDrawer: () => import('./CreateDrawer.svelte'),
  RunDrawer: () => import('./RunDrawer.svelte'),
  MoveToDialog: () => import('./MoveToDialog.svelte'),
  MoveDialog: () => import('./MoveDialog.svelte'),
  BulkDialog: () => import('./BulkDialog.svelte'),
};
