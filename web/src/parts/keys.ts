/** keyOf is the character of a key that is pressed alone, and not to type, and not in a dialog. */
export function keyOf(event: KeyboardEvent): string | undefined {
  if (event.key.length !== 1 || event.key === " " || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return undefined;
  const target = event.target;
  if (target instanceof Element && target.closest("input, textarea, select, dialog, [contenteditable='true'], [contenteditable='']"))
    return undefined;
  return event.key;
}
