// The volume in three slices, each as wide and high as it lies in space. They go through
// the middle of the picture until somebody moves them, with the sliders or by pointing at
// one of them; then they stay there, on all pages, until they are to follow again.

const LINE = 0x58c4b6; // bytes of red, green and blue
const EVERY_MS = 50; // the program takes 50 words a second
const LATE = 8; // answers that may still be of places before

// Axes of a slice across x, y and z: to the right and down.
const SIDES = [[1, 2], [0, 2], [0, 1]];

function mix(word, colour) {
  let mixed = 0xff000000;
  for (const shift of [0, 8, 16]) {
    const [grey, line] = [(word >> shift) & 255, (colour >> (16 - shift)) & 255];
    mixed |= ((grey + 2 * line) / 3) << shift;
  }
  return mixed;
}

export class Cuts {
  constructor(section, ask) {
    this.section = section;
    this.ask = ask;
    this.canvases = [...section.querySelectorAll('canvas')];
    this.sliders = [...section.querySelectorAll('input')];
    this.button = section.querySelector('button');
    this.count = 0;
    this.at = null; // the voxel that was asked for; null: they follow
    this.late = 0;
    this.sent = 0;
    this.button.addEventListener('click', () => this.follow());
    this.sliders.forEach((slider, axis) => {
      slider.addEventListener('input', () => this.move({ [axis]: Number(slider.value) }));
    });
    this.canvases.forEach((canvas, axis) => {
      canvas.addEventListener('pointerdown', (event) => {
        canvas.setPointerCapture(event.pointerId);
        this.point(canvas, axis, event);
      });
      canvas.addEventListener('pointermove', (event) => {
        if (canvas.hasPointerCapture(event.pointerId)) this.point(canvas, axis, event);
      });
    });
  }

  follow() {
    this.at = null;
    this.late = 0;
    clearTimeout(this.timer);
    this.ask('slice', { at: null });
  }

  point(canvas, axis, event) {
    if (!this.size) return;
    const box = canvas.getBoundingClientRect();
    const share = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    const to = {};
    SIDES[axis].forEach((side, k) => {
      to[side] = Math.floor(share[k] * this.size[side]);
    });
    this.move(to);
  }

  // To voxels of some axes.
  move(to) {
    if (!this.size) return;
    this.at ??= [...this.through];
    for (const [axis, voxel] of Object.entries(to))
      this.at[axis] = Math.min(Math.max(voxel, 0), this.size[axis] - 1);
    this.late = LATE;
    this.showPlace(this.at);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.send(), Math.max(0, this.sent + EVERY_MS - Date.now()));
  }

  send() {
    if (!this.at) return;
    const [m, [i, j, k]] = [this.toMm, this.at];
    this.sent = Date.now();
    this.ask('slice', { at: [0, 4, 8].map((r) => m[r] * i + m[r + 1] * j + m[r + 2] * k + m[r + 3]) });
  }

  // What is in the program: a place of its own, or not.
  state(slice) {
    const placed = slice !== null;
    this.section.dataset.placed = placed;
    this.button.setAttribute('aria-pressed', String(!placed));
    if (!placed && this.late === 0) this.at = null;
  }

  show({ slices, size, through, toMm }) {
    Object.assign(this, { size, through, toMm });
    this.section.hidden = false;
    const asked = this.at && this.late > 0 && through.some((v, axis) => v !== this.at[axis]);
    if (asked) this.late -= 1;
    else this.late = 0;
    if (!asked) this.showPlace(through);
    if (!asked && this.at) this.at = [...through]; // as it lies in a volume that has grown
    slices.forEach((slice, axis) => this.paint(this.canvases[axis], slice, axis));
    this.count += 1;
  }

  showPlace(voxel) {
    this.sliders.forEach((slider, axis) => {
      slider.max = this.size[axis] - 1;
      slider.value = voxel[axis];
      const mm = voxel[axis] * Math.hypot(this.toMm[axis], this.toMm[4 + axis], this.toMm[8 + axis]);
      slider.setAttribute('aria-valuetext', `${mm.toFixed(1)} mm`);
      slider.title = `${mm.toFixed(1)} mm`;
    });
  }

  paint(canvas, { width, height, place, grey }, axis) {
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const pixels = new ImageData(width, height);
    const words = new Uint32Array(pixels.data.buffer);
    for (let i = 0; i < grey.length; i += 1) words[i] = 0xff000000 | (grey[i] * 0x010101);
    if (this.section.dataset.placed === 'true') this.cross(words, width, height, axis);
    canvas.getContext('2d').putImageData(pixels, 0, 0);
    const step = (at) => Math.hypot(place[at], place[at + 1], place[at + 2]);
    canvas.style.aspectRatio = `${width * step(3)} / ${height * step(6)}`;
  }

  // Where the two others cut this one.
  cross(words, width, height, axis) {
    const [u, v] = SIDES[axis].map((side, k) =>
      Math.floor((this.through[side] * [width, height][k]) / this.size[side]));
    for (let row = 0; row < height; row += 1) words[row * width + u] = mix(words[row * width + u], LINE);
    for (let x = 0; x < width; x += 1) words[v * width + x] = mix(words[v * width + x], LINE);
  }
}
