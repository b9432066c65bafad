// Draws a video whose upper half is colours and whose lower half is the matte, transparently.

// What coding does to the matte: levels taken for fully transparent or opaque, and rows next to
// the colours that are read from the row below them (see avatar_server/worker/stacking.py).
const SLACK = 8;
const SEAM = 6;

const VERTEX = `
  attribute vec2 corner;
  varying vec2 at;
  void main() {
    at = vec2(0.5 + 0.5 * corner.x, 0.5 - 0.5 * corner.y);
    gl_Position = vec4(corner, 0.0, 1.0);
  }`;
const FRAGMENT = `
  precision highp float;
  uniform sampler2D video;
  uniform float rows;
  uniform float hard;
  varying vec2 at;
  void main() {
    float above = 0.5 * min(at.y, 1.0 - 1.0 / rows);
    float below = 0.5 + 0.5 * max(at.y, (${SEAM}.0 + 0.5) / rows);
    float level = 255.0 * texture2D(video, vec2(at.x, below)).g;
    float alpha = clamp((level - ${SLACK}.0) / (255.0 - 2.0 * ${SLACK}.0), 0.0, 1.0);
    alpha = mix(alpha, smoothstep(0.4, 0.6, alpha), hard);
    gl_FragColor = vec4(texture2D(video, vec2(at.x, above)).rgb * alpha, alpha);
  }`;

/**
 * The matte's level as alpha, both 0..255; the fallback's twin of the shader.
 * @param {number} level
 * @param {boolean} hard
 */
export function alphaOf(level, hard) {
  const alpha = Math.min(1, Math.max(0, (level - SLACK) / (255 - 2 * SLACK)));
  if (!hard) return Math.round(255 * alpha);
  const step = Math.min(1, Math.max(0, (alpha - 0.4) / 0.2));
  return Math.round(255 * step * step * (3 - 2 * step));
}

/**
 * @param {HTMLVideoElement} video
 * @param {HTMLCanvasElement} canvas
 * @param {boolean} hard
 */
export function drawCutout(video, canvas, hard) {
  const attributes = { alpha: true, premultipliedAlpha: true, antialias: false, depth: false };
  const gl = /** @type {WebGLRenderingContext | null} */ (canvas.getContext("webgl", attributes));
  const draw = gl ? withWebGl(gl, video, hard) : withCanvas(canvas, video, hard);
  canvas.dataset.drawnWith = gl ? "webgl" : "2d";
  const next = () => {
    const [width, height] = [video.videoWidth, video.videoHeight / 2];
    if (width > 0 && (canvas.width !== width || canvas.height !== height)) {
      canvas.width = width;
      canvas.height = height;
    }
    if (width > 0) draw();
    video.requestVideoFrameCallback(next);
  };
  video.requestVideoFrameCallback(next);
}

/**
 * @param {WebGLRenderingContext} gl
 * @param {HTMLVideoElement} video
 * @param {boolean} hard
 */
function withWebGl(gl, video, hard) {
  const build = () => {
    const program = /** @type {WebGLProgram} */ (gl.createProgram());
    for (const [kind, source] of /** @type {const} */ ([
      [gl.VERTEX_SHADER, VERTEX],
      [gl.FRAGMENT_SHADER, FRAGMENT],
    ])) {
      const shader = /** @type {WebGLShader} */ (gl.createShader(kind));
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.bindAttribLocation(program, 0, "corner");
    gl.linkProgram(program);
    gl.useProgram(program);
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ARRAY_BUFFER, new Float32Array([-1, -1, 3, -1, -1, 3]), gl.STATIC_DRAW);
    gl.enableVertexAttribArray(0);
    gl.vertexAttribPointer(0, 2, gl.FLOAT, false, 0, 0);
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR);
    gl.uniform1f(gl.getUniformLocation(program, "hard"), hard ? 1 : 0);
    return gl.getUniformLocation(program, "rows");
  };
  let rows = build();
  gl.canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
  gl.canvas.addEventListener("webglcontextrestored", () => {
    rows = build();
  });
  return () => {
    gl.viewport(0, 0, gl.drawingBufferWidth, gl.drawingBufferHeight);
    gl.uniform1f(rows, video.videoHeight / 2);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGB, gl.RGB, gl.UNSIGNED_BYTE, video);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  };
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {HTMLVideoElement} video
 * @param {boolean} hard
 */
function withCanvas(canvas, video, hard) {
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const scratch = document.createElement("canvas");
  const reader = /** @type {CanvasRenderingContext2D} */ (
    scratch.getContext("2d", { willReadFrequently: true })
  );
  const alphas = Uint8Array.from({ length: 256 }, (_, level) => alphaOf(level, hard));
  return () => {
    const [width, height] = [video.videoWidth, video.videoHeight / 2];
    if (scratch.width !== width || scratch.height !== 2 * height) {
      scratch.width = width;
      scratch.height = 2 * height;
    }
    reader.drawImage(video, 0, 0);
    const colours = reader.getImageData(0, 0, width, height);
    const matte = reader.getImageData(0, height, width, height).data;
    for (let at = 0; at < matte.length; at += 4) {
      const read = Math.max(at, SEAM * 4 * width + (at % (4 * width)));
      colours.data[at + 3] = alphas[matte[read + 1]];
    }
    pen.putImageData(colours, 0, 0);
  };
}
