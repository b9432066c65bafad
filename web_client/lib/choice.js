// A choice of one among few, as radio buttons in a row.

/**
 * Draws the group anew: it takes the place of the box's former one, below its heading.
 * @param {HTMLElement} box
 * @param {string} name of the radio buttons
 * @param {string} label said to screen readers
 * @param {{ value: string, text: string, checked: boolean, disabled?: boolean }[]} items
 * @param {(value: string) => void} change
 */
export function showChoice(box, name, label, items, change) {
  const group = document.createElement("div");
  group.className = "choice";
  group.setAttribute("role", "radiogroup");
  group.setAttribute("aria-label", label);
  for (const { value, text, checked, disabled = false } of items) {
    const input = document.createElement("input");
    Object.assign(input, { type: "radio", name, value, checked, disabled });
    input.onchange = () => change(value);
    const caption = document.createElement("span");
    caption.textContent = text;
    const item = document.createElement("label");
    item.append(input, caption);
    group.append(item);
  }
  box.querySelector(".choice")?.remove();
  box.querySelector("h2")?.after(group);
}
