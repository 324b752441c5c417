// Calibrations while the frames come: what to do, what is there, what is missing, and
// the result. The program decides all of it; here it is shown and asked for.
import { bytesText, element } from './panel.js';

const STILL = 'The reference must not move against it.';
const METHODS = {
  pivot: {
    name: 'Stylus tip',
    about: 'Where the tip of a tracked stylus lies, in the axes of its marker.',
    steps: [
      'Put the tip into a small hole that does not move: a divot, a screw head.',
      'Start, then swing the stylus to all sides, wider and wider, for half a minute. Keep the tip in the hole and the marker in the tracker\u2019s sight.',
    ],
  },
  lag: {
    name: 'Lag',
    about: 'How late the tracker\u2019s clock is against that of the pictures.',
    steps: [
      'Hold the probe over the flat bottom of a water tank: a bright line in the picture.',
      'Start, then move the probe up and down, irregularly, for half a minute. Without a tank: to and fro over anything that shows texture.',
    ],
  },
  nwire: {
    name: 'N-wire phantom',
    about: 'Where the picture lies on the probe, and the size of a pixel: the most accurate way.',
    steps: [
      'Phantom in a bath, its marker as Reference, the probe\u2019s as Probe, the picture across the wires: each is a bright dot.',
      'Start, then slide, turn and tilt the probe for half a minute, all the dots in the picture.',
    ],
  },
  wall: {
    name: 'Flat floor',
    about: 'Where the picture lies on the probe, and the size of a pixel, from the bottom of a tank.',
    steps: [
      `Hold the probe over the flat bottom of a water tank: a bright line in the picture. ${STILL}`,
      'Start, then for a minute rock the probe in the picture\u2019s plane, tilt it out of it, turn it about its long axis, raise, lower and slide it: about 30 degrees each way.',
    ],
  },
  self: {
    name: 'Any rigid object',
    about: 'Where the picture lies on the probe, without a phantom; less sure than the others.',
    steps: [
      `Take something rigid with much to see that lies still. ${STILL}`,
      'Start, then pass over the same place four to six times, some 3 mm from picture to picture or less, each time with the probe held otherwise: tilted, rocked, turned by 20 degrees and more.',
      'What is there is tried every few seconds. Finish when nothing is missing; finding it takes up to a minute. The scan goes on meanwhile.',
    ],
  },
};

const PHASES = {
  collecting: 'Collecting',
  solving: 'Finding the result; the scan goes on',
  done: 'Done',
  refused: 'No result',
};

function figure(value) {
  if (value === null) return '\u2013';
  if (Number.isInteger(value)) return `${value}`;
  return Math.abs(value) < 10 ? value.toFixed(2) : value.toFixed(0);
}

// "swung: 12 degrees of 15", "RMS: 0.31 mm, 2 at most"
function checkText({ what, unit, found, wanted, at_most: atMost }) {
  const has = `${what}: ${figure(found)}${unit ? ` ${unit}` : ''}`;
  if (wanted === null) return has;
  if (atMost) return `${has}, ${figure(wanted)} at most`;
  return found >= wanted ? has : `${has} of ${figure(wanted)}`;
}

function option(value, text) {
  return element('option', { value }, text);
}

// The same choices stay the same elements, so that an open list stays open.
function fill(select, choices) {
  const now = JSON.stringify(choices);
  if (select.dataset.choices === now) return;
  select.dataset.choices = now;
  const chosen = select.value;
  select.replaceChildren(...choices.map(([value, text]) => option(value, text)));
  if (choices.some(([value]) => value === chosen)) select.value = chosen;
}

function field(label, input) {
  return element('label', { className: 'field' }, element('span', {}, label), input);
}

export class Wizard {
  // `ask`: sends {act, ...} to the program.
  constructor(section, button, ask) {
    Object.assign(this, { section, button, ask, state: null, chosen: 'pivot' });
    section.replaceChildren(
      element('h2', {}, 'Calibration'),
      this.makeChoice(),
      this.makeTask(),
      this.makeButtons(),
      this.makeFindings(),
    );
    button.addEventListener('click', () => this.toggle());
    section.addEventListener('keydown', (event) => event.key === 'Escape' && this.toggle(false));
    this.choose('pivot');
  }

  makeChoice() {
    this.radios = Object.entries(METHODS).map(([value, { name }]) => {
      const radio = element('input', { type: 'radio', name: 'method', value });
      radio.addEventListener('change', () => this.choose(value));
      return [radio, element('label', {}, radio, element('span', {}, name))];
    });
    const choice = element('div', { id: 'wizard-methods' }, ...this.radios.map(([, label]) => label));
    choice.setAttribute('role', 'radiogroup');
    choice.setAttribute('aria-label', 'What to calibrate');
    return choice;
  }

  makeTask() {
    this.about = element('p', { id: 'wizard-about' });
    this.steps = element('ol', { id: 'wizard-steps' });
    this.tool = element('select', { id: 'wizard-tool' });
    this.phantom = element('select', { id: 'wizard-phantom' });
    const range = { type: 'number', min: '0', max: '95', step: '0.5', placeholder: 'not told' };
    this.temperature = element('input', { id: 'wizard-temperature', ...range });
    const pixel = { type: 'number', min: '0.001', max: '10', step: 'any', placeholder: 'found' };
    this.spacing = element('input', { id: 'wizard-spacing', ...pixel });
    this.begin = element('input', { id: 'wizard-begin', type: 'checkbox' });
    this.square = element('input', { id: 'wizard-square', type: 'checkbox' });
    this.fields = {
      tool: field('Tool', this.tool),
      phantom: field('Phantom', this.phantom),
      temperature: field('Water, \u00b0C', this.temperature),
      spacing: field('Pixel, mm', this.spacing),
      square: field('Pixels are square', this.square),
      begin: field('Begin at the configuration\u2019s ImageToProbe', this.begin),
    };
    const fields = element('div', { id: 'wizard-fields' }, ...Object.values(this.fields));
    return element('div', {}, this.about, this.steps, fields);
  }

  makeButtons() {
    const make = (id, text, act) => {
      const button = element('button', { id: `wizard-${id}`, type: 'button' }, text);
      button.addEventListener('click', act);
      return button;
    };
    this.start = make('start', 'Start', () => this.ask(this.request()));
    this.finish = make('finish', 'Finish', () => this.ask({ act: 'finish' }));
    this.cancel = make('cancel', 'Cancel', () => this.ask({ act: 'cancel' }));
    this.keep = make('keep', 'Save calibration', () => this.ask({ act: 'keep' }));
    const all = [this.start, this.finish, this.cancel, this.keep];
    return element('div', { id: 'wizard-buttons' }, ...all);
  }

  makeFindings() {
    this.status = element('p', { id: 'wizard-status' });
    this.status.setAttribute('role', 'status');
    this.checks = element('ul', { id: 'wizard-checks' });
    this.advice = element('p', { id: 'wizard-advice' });
    this.advice.setAttribute('aria-live', 'polite');
    this.result = element('pre', { id: 'wizard-result', tabIndex: 0 });
    this.line = element('p', { id: 'wizard-line' });
    return element('div', {}, this.status, this.checks, this.advice, this.result, this.line);
  }

  toggle(open = this.section.hidden) {
    this.section.hidden = !open;
    this.button.setAttribute('aria-pressed', String(open));
    if (!open) return this.button.focus();
    this.section.scrollIntoView({ block: 'nearest' });
    return this.section.querySelector('input:checked').focus();
  }

  choose(method) {
    const { about, steps } = METHODS[method];
    this.chosen = method;
    for (const [radio] of this.radios) radio.checked = radio.value === method;
    this.about.textContent = about;
    this.steps.replaceChildren(...steps.map((text) => element('li', {}, text)));
    this.fields.phantom.hidden = method !== 'nwire';
    this.fields.temperature.hidden = method !== 'nwire' && method !== 'wall';
    this.fields.spacing.hidden = method !== 'wall' && method !== 'self';
    this.fields.square.hidden = method === 'pivot' || method === 'lag';
    this.fields.begin.hidden = method !== 'self' || !this.state?.config_image;
    if (this.state) this.show(this.state);
  }

  request() {
    const degrees = this.temperature.valueAsNumber;
    const asked = { act: 'begin', method: this.chosen, tool: this.tool.value };
    if (this.chosen === 'nwire') asked.phantom = this.phantom.value;
    if (!this.fields.temperature.hidden && Number.isFinite(degrees)) asked.temperature = degrees;
    const known = this.spacing.valueAsNumber;
    if (!this.fields.spacing.hidden && Number.isFinite(known)) asked.spacing_mm = known;
    if (!this.fields.square.hidden) asked.isotropic = this.square.checked;
    if (this.chosen === 'self') asked.begin_at_config = this.begin.checked;
    return asked;
  }

  show(state) {
    const first = this.state === null;
    this.state = state;
    const busy = state.phase === 'collecting' || state.phase === 'solving';
    if (first) this.begin.checked = state.config_image;
    if ((busy || first) && state.phase !== 'idle' && this.chosen !== state.method) {
      this.choose(state.method);
      return;
    }
    this.showChoices(state);
    this.showButtons(state, busy);
    this.showFindings(state, state.method === this.chosen && state.phase !== 'idle');
    this.line.textContent = state.line;
  }

  showChoices({ tools, phantoms, config_phantom: configured }) {
    const usual = this.chosen === 'pivot' ? 'Stylus' : 'Probe';
    const others = tools.filter((tool) => tool !== usual);
    fill(this.tool, [usual, ...others].map((tool) => [tool, tool]));
    const own = configured ? [['', 'of the configuration']] : [];
    fill(this.phantom, [...own, ...phantoms.map((name) => [name, name])]);
    this.fields.begin.hidden = this.chosen !== 'self' || !this.state.config_image;
  }

  showButtons(state, busy) {
    const done = state.phase === 'done' && state.method === this.chosen;
    this.section.classList.toggle('busy', busy);
    const told = ['done', 'refused'].includes(state.phase) && state.method === this.chosen;
    this.section.classList.toggle('told', told);
    for (const [radio] of this.radios) radio.disabled = busy;
    for (const input of [this.tool, this.phantom, this.temperature, this.spacing, this.square, this.begin])
      input.disabled = busy;
    this.start.hidden = busy;
    this.start.textContent = state.phase === 'idle' ? 'Start' : 'Start again';
    this.finish.hidden = this.cancel.hidden = !busy;
    this.finish.disabled = state.phase !== 'collecting' || state.kept === 0;
    this.finish.classList.toggle('ready', state.ready);
    this.keep.hidden = !done;
    this.keep.disabled = !state.can_save;
    this.keep.title = state.can_save ? '' : 'start echosolid live with --folder to save';
  }

  showFindings(state, shown) {
    this.status.textContent = shown ? this.statusText(state) : '';
    const rows = shown ? state.checks : [];
    rows.forEach((check, k) => {
      const row = this.checks.children[k] ?? this.checks.appendChild(element('li', {}));
      row.dataset.enough = check.wanted === null ? 'told' : String(check.enough);
      const text = checkText(check);
      if (row.textContent !== text) row.textContent = text;
    });
    while (this.checks.children.length > rows.length) this.checks.lastChild.remove();
    const advice = shown ? this.adviceText(state) : '';
    if (this.advice.textContent !== advice) this.advice.textContent = advice;
    this.advice.dataset.ready = String(state.ready);
    this.result.hidden = !shown || !state.result;
    if (shown && state.result) this.result.textContent = state.result;
  }

  statusText({ phase, seconds, seen, kept, step, bytes, lost, full }) {
    if (phase !== 'collecting') return PHASES[phase];
    const thinned = step > 1 ? `, to save memory every ${step}. one` : '';
    const end = full ? '. Memory is full: no more is kept. Finish, or start again' : '';
    const short = lost ? `, ${lost} lost for want of memory` : '';
    const held = `${kept} of ${seen} frames kept, ${bytesText(bytes)}`;
    return `${PHASES.collecting}: ${seconds.toFixed(0)} s, ${held}${thinned}${short}${end}`;
  }

  adviceText({ phase, advice, ready, checks }) {
    if (phase === 'done') return '';
    if (phase === 'collecting' && !advice && ready)
      return 'Nothing is missing; more of it makes the interval narrower.';
    if (phase === 'collecting' && checks.length === 0 && !advice) return 'Waiting for frames.';
    return advice ? `${advice[0].toUpperCase()}${advice.slice(1)}.`.replace(/\.\.$/, '.') : '';
  }
}
