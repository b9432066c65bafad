// Small pictures as SVG elements, in the colour of the text around them.

const SVG = "http://www.w3.org/2000/svg";
const SPEAKER = "M4 9v6h4l5 4V5L8 9z";
const WAVES = "M16 8.5a5 5 0 0 1 0 7M18.5 6a8.5 8.5 0 0 1 0 12";
const CROSS = "M17 9.5l5 5M22 9.5l-5 5";

/**
 * @param {string} filled path that is filled
 * @param {string} drawn path that is drawn as a line
 */
function icon(filled, drawn) {
  const picture = document.createElementNS(SVG, "svg");
  picture.setAttribute("viewBox", "0 0 24 24");
  picture.setAttribute("aria-hidden", "true");
  picture.setAttribute("class", "icon");
  for (const [path, fill, stroke] of [[filled, "currentColor", "none"], [drawn, "none", "currentColor"]]) {
    const shape = document.createElementNS(SVG, "path");
    shape.setAttribute("d", path);
    shape.setAttribute("fill", fill);
    shape.setAttribute("stroke", stroke);
    shape.setAttribute("stroke-width", "2");
    shape.setAttribute("stroke-linecap", "round");
    picture.append(shape);
  }
  return picture;
}

/** @param {boolean} on */
export function speakerIcon(on) {
  return icon(SPEAKER, on ? WAVES : CROSS);
}

export function stopIcon() {
  return icon("", "M6 6l12 12M18 6L6 18");
}

export function themeIcon() {
  return icon("M12 4a8 8 0 0 1 0 16z", "M12 4a8 8 0 1 0 0 16a8 8 0 1 0 0-16");
}

/** @param {boolean} on */
export function microphoneIcon(on) {
  return icon("M9 5a3 3 0 0 1 6 0v6a3 3 0 0 1-6 0z",
    `M6 11a6 6 0 0 0 12 0M12 17v4${on ? "" : "M4 4l16 16"}`);
}
