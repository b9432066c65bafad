// Files from the user: chosen or dropped, sent as they are.

/**
 * Send a file's bytes and read the answer.
 * @param {string} path
 * @param {File} file
 * @param {string} token of any live session
 * @param {(problem: string | undefined) => void} complain
 */
export async function upload(path, file, token, complain) {
  const address = `${path}?name=${encodeURIComponent(file.name.slice(0, 200))}`;
  try {
    const headers = { Authorization: `Bearer ${token}` };
    const answer = await fetch(address, { method: "POST", headers, body: file });
    const body = await answer.json();
    if (!answer.ok) complain(body.error?.message);
    return { ok: answer.ok, body };
  } catch {
    complain(undefined);
    return { ok: false, body: {} };
  }
}

/**
 * Give each file that is chosen in `input`, or dropped on the label around it, to `take`.
 * @param {HTMLElement} input
 * @param {(file: File) => Promise<void>} take
 */
export function takeFiles(input, take) {
  const chooser = /** @type {HTMLInputElement} */ (input);
  const zone = /** @type {HTMLElement} */ (input.parentElement);
  chooser.onchange = () => {
    if (chooser.files?.[0]) take(chooser.files[0]);
    chooser.value = "";
  };
  zone.ondragover = (event) => {
    event.preventDefault();
    zone.classList.add("over");
  };
  zone.ondragleave = () => zone.classList.remove("over");
  zone.ondrop = (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    if (event.dataTransfer?.files[0]) take(event.dataTransfer.files[0]);
  };
}
