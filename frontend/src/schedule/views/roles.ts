/**
 * EventCalendar calls its parts rows and cells of a table, yet its events stand in none of
 * them: screen readers would read an empty table, and lose the events. So the parts are
 * plain, and the names of days, which open the day, are links for keyboard and ear.
 */

const TABLE = ['table', 'row', 'rowgroup', 'cell', 'columnheader', 'list', 'listitem'];
const WRONG = TABLE.map((role) => `[role=${role}]`).join(', ');
const DAYS = '.ec-day-head > time:first-child, .ec-col-head > time';
const NAMED = '.ec-col-head > span[aria-label], time[aria-label]';

export function tidyRoles(root: HTMLElement): () => void {
  const tidy = () => {
    for (const part of root.querySelectorAll(WRONG)) {
      part.removeAttribute('role');
      part.removeAttribute('aria-colindex');
    }
    // Names of days say themselves what they are, in our words.
    for (const name of root.querySelectorAll(NAMED)) name.removeAttribute('aria-label');
    for (const name of root.querySelectorAll(DAYS)) {
      if (name.closest('dialog') || name.hasAttribute('tabindex')) continue;
      name.setAttribute('role', 'link');
      name.setAttribute('tabindex', '0');
    }
    // Keys scroll it even where nothing in it takes the focus.
    root.querySelector('.ec-main')?.setAttribute('tabindex', '0');
  };
  tidy();
  const observer = new MutationObserver(tidy);
  observer.observe(root, {
    subtree: true,
    childList: true,
    attributes: true,
    attributeFilter: ['role', 'aria-label'],
  });
  return () => observer.disconnect();
}
