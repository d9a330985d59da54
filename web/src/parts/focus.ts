type Focusable = Element & HTMLOrSVGElement & { disabled?: boolean };

const stops =
  "a[href], button:not(:disabled), input:not(:disabled), select:not(:disabled), textarea:not(:disabled), summary, [tabindex='0']";

/**
 * keepFocus gives the focus back to a control that was disabled for a while or put elsewhere, and to the neighbour of one that is gone: the browser lets go of
 * all of them, and then keys go nowhere and nothing shows the focus.
 */
export function keepFocus() {
  let last: Focusable | undefined;
  addEventListener("focusin", (event) => (last = event.target as Focusable));
  addEventListener("pointerdown", () => (last = undefined), true); // a click elsewhere ends it
  new MutationObserver((changes) => {
    if (!last || document.activeElement !== document.body) return;
    const place = placeOf(last, changes);
    if (place && !last.isConnected) neighbour(last, place).focus({ preventScroll: true });
    else if (place || (!last.disabled && changes.some((c) => c.target === last))) last.focus({ preventScroll: true });
  }).observe(document.body, { subtree: true, childList: true, attributeFilter: ["disabled"] });
}

/** placeOf is the change that took an element away, or the last one that took away what it was in. */
function placeOf(element: Element, changes: MutationRecord[]): MutationRecord | undefined {
  let place: MutationRecord | undefined;
  for (const c of changes)
    if ([...c.removedNodes].some((n) => n.contains(element) || (place && n.contains(place.target)))) {
      place = c;
      if (c.target.isConnected) break;
    }
  return place;
}

/** neighbour is the same control of the next or previous row, or else what contained the one that is gone: another control would do something else. */
function neighbour(gone: Focusable, { removedNodes, target, nextSibling, previousSibling }: MutationRecord): HTMLOrSVGElement {
  const row = [...removedNodes].find((n): n is Element => n instanceof Element && n.matches("tr, li") && n !== gone && n.contains(gone));
  if (row) {
    const nth = [...row.querySelectorAll(stops)].indexOf(gone);
    for (const [from, step] of [
      [nextSibling, "nextSibling"],
      [previousSibling, "previousSibling"],
    ] as const)
      for (let n = from; n; n = n[step]) {
        const same =
          n instanceof Element && n.isConnected && n.matches(row.tagName) ? [...n.querySelectorAll<HTMLElement>(stops)][nth] : undefined;
        if (same) return same;
      }
  }
  const content = document.getElementById("content");
  const holder = target instanceof HTMLElement && target.isConnected && !(content && target.contains(content)) ? target : content;
  if (!holder) return document.body;
  if (!holder.hasAttribute("tabindex")) {
    holder.tabIndex = -1;
    holder.addEventListener("blur", () => holder.removeAttribute("tabindex"), { once: true });
  }
  return holder;
}
