// How large a pixel is: a line of known length that is laid over the ruler in the
// picture, held against the spacing in use and against the evidence that the program
// finds in the picture.

const SNAP_PX = 8; // of the screen
const SVG = 'http://www.w3.org/2000/svg';

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function drawn(tag, attributes) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

const mm = (value) => `${value.toPrecision(4)} mm`;

// 95 %: sigma is that of the logarithm.
function interval(value, sigma) {
  if (value === null) return '';
  if (sigma === null) return `${mm(value)}, not used`;
  const [low, high] = [-1.96, 1.96].map((z) => value * Math.exp(z * sigma));
  return `${mm(value)} (${low.toPrecision(4)} to ${high.toPrecision(4)})`;
}

// Places of a comb's ticks, pixels of the picture.
function placesOf({ axis, at, first, period, count }) {
  const along = Array.from({ length: count }, (_, k) => first + k * period);
  return along.map((x) => (axis === 1 ? [at, x] : [x, at]));
}

// Millimetres of a pixel along a line: from the two lengths of a pixel's sides.
function along([[u0, v0], [u1, v1]], [across, down]) {
  const [du, dv] = [u1 - u0, v1 - v0];
  return Math.hypot(du * across, dv * down) / Math.hypot(du, dv);
}

function percent(value, than) {
  const change = 100 * (value / than - 1);
  if (Math.abs(change) < 0.05) return 'the same';
  return `${Math.abs(change).toFixed(1)} % ${change > 0 ? 'more' : 'less'}`;
}

export class Measure {
  constructor(section, ask) {
    this.canvas = section.querySelector('canvas');
    this.ask = ask;
    this.ends = null; // pixels of the picture
    this.ticks = [];
    this.found = null;
    this.answers = 0;
    this.makeBox(section);
    this.makeLine(section.querySelector('#picture-frame'));
    new ResizeObserver(() => this.place()).observe(this.canvas);
  }

  // ---- what there is

  makeBox(section) {
    this.button = element('button', { id: 'measure', type: 'button', title: 'm', textContent: 'Measure' });
    this.button.setAttribute('aria-pressed', 'false');
    this.button.addEventListener('click', () => this.toggle());
    this.length = element('input', { type: 'number', min: 1, max: 1000, step: 'any', value: 10 });
    this.length.addEventListener('input', () => this.tell());
    this.depth = element('input', { type: 'number', min: 1, max: 1000, step: 'any' });
    this.probe = element('input', { type: 'text', maxLength: 63, size: 10 });
    this.find = element('button', { type: 'button', textContent: 'Find evidence' });
    this.find.addEventListener('click', () => this.askEvidence());
    this.lay = element('button', { type: 'button', textContent: 'Lay it over the ticks', hidden: true });
    this.lay.addEventListener('click', () => this.layOverTicks());
    this.result = element('output', { id: 'measured' });
    this.verdict = element('p', { id: 'verdict' });
    this.verdict.setAttribute('role', 'status');
    this.rows = element('ul', { id: 'evidence' });
    const label = (words, input, unit = '') => element('label', {}, words, input, unit);
    this.box = element(
      'div',
      { id: 'measure-box', hidden: true },
      element('p', { className: 'small' }, 'Put the ends of the line on two ticks of the picture\u2019s ruler ' +
        '(drag them, or arrow keys; Shift: ten pixels) and say how far they are apart.'),
      label('The line is ', this.length, ' mm long'),
      this.result,
      label('Depth that the scanner shows ', this.depth, ' mm'),
      label('Name on the probe ', this.probe),
      element('div', { className: 'row' }, this.find, this.lay),
      this.verdict,
      this.rows,
    );
    section.append(element('div', { id: 'measure-head' }, this.button), this.box);
  }

  makeLine(frame) {
    this.svg = drawn('svg', { viewBox: '0 0 1 1', preserveAspectRatio: 'none' });
    this.comb = drawn('path', { class: 'comb', d: '' });
    this.line = drawn('line', {});
    this.svg.append(this.comb, this.line);
    this.handles = ['first', 'other'].map((which, k) => {
      const handle = element('button', { className: 'end', type: 'button' });
      handle.setAttribute('aria-label', `${which} end of the line`);
      handle.addEventListener('pointerdown', (event) => handle.setPointerCapture(event.pointerId));
      handle.addEventListener('pointermove', (event) => {
        if (handle.hasPointerCapture(event.pointerId)) this.drag(k, event);
      });
      handle.addEventListener('keydown', (event) => this.nudge(k, event));
      return handle;
    });
    this.over = element('div', { id: 'measure-over', hidden: true }, this.svg, ...this.handles);
    frame.append(this.over);
  }

  toggle() {
    const on = this.box.hidden;
    this.box.hidden = this.over.hidden = !on;
    this.button.setAttribute('aria-pressed', String(on));
    this.place();
  }

  // ---- the line

  // Every picture: of which size, and how large a pixel is by its place.
  show({ fullWidth, fullHeight, place }) {
    const other = this.size?.[0] !== fullWidth || this.size?.[1] !== fullHeight;
    const side = (k) => Math.hypot(place[k], place[4 + k], place[8 + k]);
    this.size = [fullWidth, fullHeight];
    this.inUse = place ? [side(0), side(1)] : this.inUse;
    if (other) {
      const u = Math.round(0.8 * fullWidth);
      this.ends = [[u, Math.round(0.15 * fullHeight)], [u, Math.round(0.65 * fullHeight)]];
      this.ticks = [];
    }
    if (other || !this.told) this.place();
  }

  // The overlay lies where the picture is.
  place() {
    if (this.over.hidden || !this.size) return;
    const { offsetLeft, offsetTop, offsetWidth, offsetHeight } = this.canvas;
    const px = { left: offsetLeft, top: offsetTop, width: offsetWidth, height: offsetHeight };
    for (const [name, value] of Object.entries(px)) this.over.style[name] = `${value}px`;
    const shares = this.ends.map((end) => this.shareOf(end));
    shares.forEach(([x, y], k) => {
      this.handles[k].style.left = `${100 * x}%`;
      this.handles[k].style.top = `${100 * y}%`;
      this.line.setAttribute(`x${k + 1}`, x);
      this.line.setAttribute(`y${k + 1}`, y);
    });
    const marks = this.ticks.flatMap(placesOf).map((tick) => this.shareOf(tick));
    this.comb.setAttribute('d', marks.map(([x, y]) => `M${x - 0.012} ${y}h.024`).join(''));
    this.tell();
  }

  shareOf([u, v]) {
    return [(u + 0.5) / this.size[0], (v + 0.5) / this.size[1]];
  }

  drag(k, event) {
    const box = this.canvas.getBoundingClientRect();
    const scale = [box.width / this.size[0], box.height / this.size[1]];
    const at = [(event.clientX - box.left) / scale[0] - 0.5, (event.clientY - box.top) / scale[1] - 0.5];
    this.put(k, this.snap(at, scale));
  }

  snap([u, v], [x, y]) {
    let nearest = [u, v];
    let least = SNAP_PX;
    for (const tick of this.ticks.flatMap(placesOf)) {
      const away = Math.hypot((tick[0] - u) * x, (tick[1] - v) * y);
      if (away < least) [nearest, least] = [tick, away];
    }
    return nearest;
  }

  nudge(k, event) {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    const times = event.shiftKey ? 10 : 1;
    this.put(k, [0, 1].map((a) => this.ends[k][a] + times * step[a]));
  }

  put(k, at) {
    this.ends[k] = at.map((x, a) => Math.min(Math.max(x, 0), this.size[a] - 1));
    this.place();
  }

  layOverTicks() {
    const places = placesOf(this.ticks[0]);
    this.ends = [places[0], places.at(-1)];
    this.place();
  }

  // ---- what it says

  tell() {
    const { ends, inUse, found } = this;
    const pixels = Math.hypot(ends[1][0] - ends[0][0], ends[1][1] - ends[0][1]);
    const length = Number(this.length.value);
    this.told = true;
    this.measured = length > 0 && pixels >= 1 ? length / pixels : null;
    if (this.measured === null) {
      this.result.textContent = 'The line has no length.';
      return;
    }
    const ends1px = 100 * (Math.SQRT1_2 / pixels); // half a pixel at either end
    const lines = [
      `${pixels.toFixed(1)} pixels: ${mm(this.measured)} a pixel, ${(1 / this.measured).toPrecision(4)} ` +
        `pixels a mm (ends to half a pixel: \u00b1${ends1px.toFixed(1)} %).`,
    ];
    if (inUse) {
      const used = along(ends, inUse);
      lines.push(`In use along it: ${mm(used)}; the line says ${percent(this.measured, used)}.`);
    }
    if (found?.known) {
      const says = along(ends, found.spacing_mm);
      const [low, high] = [0, 1].map((e) => along(ends, found.ci95_mm.map((axis) => axis[e])));
      const within = this.measured >= low * (1 - ends1px / 50) && this.measured <= high * (1 + ends1px / 50);
      lines.push(`The evidence: ${mm(says)} (${low.toPrecision(4)} to ${high.toPrecision(4)}); the line ` +
        `${within ? 'agrees' : `says ${percent(this.measured, says)}`}.`);
    }
    this.result.replaceChildren(...lines.map((line) => element('p', {}, line)));
  }

  // ---- the evidence

  askEvidence() {
    const depth = Number(this.depth.value);
    const more = { probe: this.probe.value.trim() };
    if (depth > 0) more.depth_mm = depth;
    this.ask('spacing', more);
  }

  evidence(answer) {
    this.find.disabled = answer.busy;
    this.find.textContent = answer.busy ? 'Looking \u2026' : 'Find evidence';
    if (answer.busy) return;
    this.answers += 1;
    this.found = answer.error ? null : answer;
    this.ticks = answer.ticks ?? [];
    this.lay.hidden = this.ticks.length === 0;
    this.verdict.textContent = this.conclude(answer);
    this.rows.replaceChildren(...(answer.rows ?? []).map((row) => this.row(row)));
    this.place();
  }

  conclude({ error, known, spacing_mm: found, ci95_mm: ci, ask }) {
    if (error) return error;
    if (!known) return `The picture alone does not tell. ${ask[0] ?? ''}`;
    const one = (k) => `${mm(found[k])} (${ci[k].map((x) => x.toPrecision(4)).join(' to ')})`;
    return `The evidence: ${one(0)} across, ${one(1)} down, 95 %.`;
  }

  row({ source, spacing_mm: value, sigma, bound, suspect, note }) {
    const how = ['at most ', '', 'at least '][bound + 1];
    const axes = ['across', 'down']
      .map((axis, k) => (value[k] === null ? '' : `${axis} ${how}${interval(value[k], sigma[k])}`))
      .filter(Boolean);
    const name = suspect ? `${source}: suspect, a constant that nobody measured` : source;
    return element('li', {}, element('b', {}, name), element('span', {}, axes.join('; ')),
      element('span', { className: 'small' }, note));
  }
}
