// What stands below the stage: switches, the colours' legend, and a line that
// says what was pointed at.
import { Vector3 } from 'three';
import { button, check, choice, make, slider } from './words.js';

const KEYS = `Drag to turn, right button or two fingers to move, wheel or pinch to zoom, click a
surface to measure. Keys: arrows turn, shift + arrows move, + and \u2212 zoom, 1 2 3 look along x y z,
0 all in sight, c colouring, x y z and shift + x y z move the slices, m surface, s slices.`;

function legend(colours) {
  const bar = make('span', { className: 'view-scale' });
  const stops = colours.map((rgb) => `rgb(${rgb.join(' ')})`);
  bar.style.background = `linear-gradient(to right, ${stops.join(', ')})`;
  const low = make('span');
  const high = make('span');
  const row = make('div', { className: 'view-legend', hidden: true }, low, bar, high);
  const show = (scalar) => {
    row.hidden = !scalar;
    if (!scalar) return;
    const unit = scalar.unit && ` ${scalar.unit}`;
    low.textContent = `${scalar.name}: ${scalar.low}${unit}`;
    high.textContent = `${scalar.high}${unit}${scalar.open ? ' and more' : ''}; grey: not known`;
  };
  return { row, show };
}

// How far what is shown is from what is meant.
function fewer({ triangles, of_triangles: all, within_mm: within }) {
  const words = `shown with ${triangles} of ${all} triangles, within ${within.toPrecision(2)} mm`;
  return triangles < all ? [make('p', { className: 'view-fewer' }, words)] : [];
}

export class Panel {
  constructor(parent, view) {
    this.view = view;
    this.status = make('p', { className: 'view-status', 'aria-live': 'polite' });
    this.controls = make('div', { className: 'view-controls' });
    this.legend = legend(view.head.colours);
    const help = make('details', {}, make('summary', {}, 'How to move it'), make('p', {}, KEYS));
    parent.append(this.legend.row, this.controls, this.status, help);
    this.addViews();
    view.surfaces.forEach((surface, k) => this.addSurface(surface, k));
    if (view.slices) this.addSlices(view.slices);
    view.stage.canvas.addEventListener('keydown', (event) => this.onKey(event));
  }

  addViews() {
    const { view } = this;
    const row = make('div', { className: 'view-buttons' });
    row.append(
      button('All in sight', () => view.home()),
      ...['x', 'y', 'z'].map((name, axis) => button(`Along ${name}`, () => view.along(axis))),
    );
    this.controls.append(row);
  }

  addSurface(surface, k) {
    const { stage } = this.view;
    const { name, scalars } = surface.data;
    const box = make('fieldset', {}, make('legend', {}, name));
    const opacity = slider('Opacity', { min: 0, max: 100, step: 5, value: 100 }, (percent) => {
      surface.setOpacity(percent / 100);
      stage.changed();
      return `${percent} %`;
    });
    box.append(opacity.row);
    const colouring = choice('Colour', ['plain', ...scalars.map((s) => s.name)], (chosen) => {
      surface.colourBy(chosen);
      this.legend.show(surface.colouring);
      stage.changed();
    });
    if (scalars.length) box.append(colouring.row);
    box.append(...fewer(surface.data));
    if (k === 0) Object.assign(this, { opacity, colouring });
    this.controls.append(box);
  }

  addSlices(slices) {
    const { stage } = this.view;
    const box = make('fieldset', {}, make('legend', {}, slices.data.name));
    this.sliders = slices.data.size.map((size, axis) => {
      const shown = check('', true, (on) => {
        slices.planes[axis].visible = on;
        stage.changed();
      });
      shown.input.ariaLabel = `slice ${'xyz'[axis]} shown`;
      const range = { min: 0, max: size - 1, step: 1, value: slices.middle[axis] };
      const moved = slider(`Slice ${'xyz'[axis]}`, range, (index) => {
        stage.changed();
        return slices.move(axis, index);
      });
      box.append(make('div', { className: 'view-slice' }, shown.row, moved.row));
      return { ...moved, shown };
    });
    const range = { min: 25, max: 400, step: 5, value: 100 };
    const brightness = slider('Brightness', range, (percent) => {
      slices.brightness.value = percent / 100;
      stage.changed();
      return `${percent} %`;
    });
    box.append(brightness.row);
    this.controls.append(box);
  }

  say(text) {
    this.status.textContent = text;
  }

  nextColour() {
    const { select } = this.colouring ?? {};
    if (!select) return;
    select.selectedIndex = (select.selectedIndex + 1) % select.length;
    select.dispatchEvent(new Event('change'));
  }

  moveSlice(axis, by) {
    const moved = this.sliders?.[axis];
    if (!moved) return;
    moved.input.value = Number(moved.input.value) + by;
    moved.show();
  }

  toggleSlices() {
    for (const { shown } of this.sliders ?? []) shown.input.click();
  }

  toggleSurface() {
    if (!this.opacity) return;
    this.opacity.input.value = Number(this.opacity.input.value) > 0 ? 0 : 100;
    this.opacity.show();
  }

  onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { view } = this;
    const by = event.shiftKey ? -1 : 1;
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const actions = {
      '+': () => view.stage.zoom(1.2),
      '=': () => view.stage.zoom(1.2),
      '-': () => view.stage.zoom(1 / 1.2),
      0: () => view.home(),
      1: () => view.along(0),
      2: () => view.along(1),
      3: () => view.along(2),
      c: () => this.nextColour(),
      m: () => this.toggleSurface(),
      s: () => this.toggleSlices(),
      x: () => this.moveSlice(0, by),
      y: () => this.moveSlice(1, by),
      z: () => this.moveSlice(2, by),
    };
    const arrow = arrows[key];
    if (arrow && event.shiftKey) view.stage.pan(-0.05 * arrow[0], -0.05 * arrow[1]);
    else if (arrow) view.stage.turn(0.1 * arrow[0], 0.1 * arrow[1]);
    else if (actions[key]) actions[key]();
    else return;
    event.preventDefault();
  }
}

export function pointText({ point, facts, gap }) {
  const place = point
    .toArray()
    .map((value) => value.toFixed(1))
    .join(', ');
  const away = gap === null ? '' : `; ${gap.toFixed(1)} mm from the point before`;
  return `(${place}) mm${facts.map((fact) => `; ${fact}`).join('')}${away}`;
}

export const AXES = [new Vector3(1, 0, 0), new Vector3(0, -1, 0), new Vector3(0, 0, 1)];
