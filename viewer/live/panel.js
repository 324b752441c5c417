// Words and buttons round the two pictures: how it stands, what to do, what was
// saved.

const PHASES = {
  waiting: 'waiting for the scanner',
  starting: 'starting: a few frames with a position are needed',
  running: 'scanning',
  paused: 'paused',
  cut: 'the scanner is away; looking for it',
  ended: 'the scan is over',
  gone: 'echosolid is away; looking for it',
};

const FIGURES_EVERY_MS = 950;

export function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// What does not change is not laid out anew.
function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function byId(id) {
  return document.getElementById(id);
}

export function bytesText(bytes) {
  if (bytes < 1e6) return `${Math.ceil(bytes / 1e3)} kB`;
  return `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
}

function milliseconds(seconds) {
  return seconds === null || seconds === undefined ? '\u2013' : `${(1e3 * seconds).toFixed(0)} ms`;
}

// Name, text, and whether it is bad news.
function figures(s) {
  const share = s.received ? (100 * s.dropped) / s.received : 0;
  const rows = [
    ['pictures', `${s.received_hz.toFixed(1)}/s`],
    ['inserted', `${s.inserted} (${s.inserted_hz.toFixed(1)}/s)`],
    ['dropped', `${s.dropped}`, share > 5],
    ['without position', `${s.unplaced}`, s.unplaced > 0.2 * s.received],
    ['latency', `${milliseconds(s.latency_s)}, 99 %: ${milliseconds(s.latency_p99_s)}`],
    ['surface', `${s.triangles.toLocaleString('en')} triangles, ${s.previews} updates`],
    ['bricks', `${s.bricks.toLocaleString('en')}`],
    ['volume', bytesText(s.volume_bytes)],
    ['memory', bytesText(s.memory_bytes)],
  ];
  if (s.undone) rows.push(['taken back', `${s.undone}`]);
  if (s.lost) rows.push(['lost', `${s.lost}`, true]);
  if (s.record_error) rows.push(['recording', `ended: ${s.record_error}`, true]);
  else if (s.recorded) rows.push(['recorded', `${s.recorded}`]);
  return rows;
}

export class Panel {
  constructor(ask) {
    this.ask = ask;
    this.state = null;
    this.counts = null; // the newest state that has them
    this.countsMs = -Infinity;
    this.rows = [];
    this.canSave = false;
    byId('toggle').addEventListener('click', () => this.toggle());
    byId('save').addEventListener('click', () => this.save());
    byId('undo').addEventListener('click', () => this.undo());
    this.undos = 0;
  }

  toggle() {
    if (!byId('toggle').disabled) this.ask(this.state?.phase === 'paused' ? 'start' : 'pause');
  }

  save() {
    if (!byId('save').disabled) this.ask('save');
  }

  undo() {
    if (!byId('undo').disabled) this.ask('undo');
  }

  greet({ source, can_save: canSave }) {
    this.canSave = canSave;
    byId('source').textContent = source;
    byId('save').title = canSave ? 's' : 'start echosolid live with --folder to save';
  }

  setPhase(phase) {
    const line = byId('phase');
    if (line.dataset.phase === phase) return;
    line.dataset.phase = phase;
    line.textContent = PHASES[phase] ?? phase;
  }

  away() {
    this.setPhase('gone');
    for (const id of ['toggle', 'save', 'undo']) byId(id).disabled = true;
  }

  show(state) {
    this.state = state;
    const { phase } = state;
    const away = state.connected === false && phase !== 'waiting' && phase !== 'ended';
    this.setPhase(away ? 'cut' : phase);
    const toggle = byId('toggle');
    setText(toggle, phase === 'paused' ? 'Start' : 'Pause');
    toggle.disabled = !['starting', 'running', 'paused'].includes(phase);
    byId('save').disabled = !this.canSave || !(state.inserted > 0) || state.saving || phase === 'ended';
    setText(byId('save'), state.saving ? 'Saving \u2026' : 'Save');
    this.showUndo(state);
    if (state.received !== undefined) this.counts = state;
    if (this.counts) this.showFigures(phase);
    this.showCoach(state);
    this.showSaved(state);
  }

  showUndo({ phase, undo_s: left, undo_step_s: step, undo_bytes: held, last_undo: last }) {
    const button = byId('undo');
    button.disabled = !(left > 0) || !['running', 'paused'].includes(phase);
    if (!last) return;
    setText(button, `Undo ${step} s`);
    const title = `u; ${left.toFixed(0)} s can be taken back, held in ${bytesText(held)}`;
    if (button.title !== title) button.title = title;
    if (last.number === this.undos) return;
    this.undos = last.number;
    byId('undo-note').textContent = last.frames
      ? `${last.seconds.toFixed(1)} s taken back: ${last.frames} pictures`
      : 'Nothing left to take back';
  }

  // Once a second while they run: nobody reads faster, and the line is laid out anew.
  showFigures(phase) {
    const now = performance.now();
    if (phase === 'running' && now < this.countsMs + FIGURES_EVERY_MS) return;
    this.countsMs = now;
    const rows = figures(this.counts);
    if (rows.length !== this.rows.length) {
      this.rows = rows.map(() => element('div', {}, element('dt', {}), element('dd', {})));
      byId('figures').replaceChildren(...this.rows);
    }
    rows.forEach(([name, text, bad], k) => {
      const [term, value] = this.rows[k].children;
      setText(term, name);
      setText(value, text);
      value.toggleAttribute('data-bad', Boolean(bad));
    });
  }

  // A sentence whose number changes stays the same line.
  showCoach({ coach, phase }) {
    const list = byId('coach');
    const good = phase === 'running' ? 'Good: nothing to correct.' : '';
    const items = coach.length || !good ? coach : [{ what: 'good', text: good }];
    items.forEach(({ what, text }, k) => {
      const line = list.children[k] ?? list.appendChild(element('li', {}));
      if (line.dataset.what !== what) line.dataset.what = what;
      setText(line, text);
    });
    while (list.children.length > items.length) list.lastChild.remove();
  }

  showSaved({ saved, line }) {
    byId('saved-box').hidden = saved.length === 0 && !line;
    setText(byId('line'), line);
    const list = byId('saved');
    const newest = saved.at(-1)?.address ?? '';
    if (list.dataset.newest === newest) return;
    list.dataset.newest = newest;
    const rows = saved.map(({ name, address, bytes }) => {
      const link = element('a', { href: address + location.search, download: name }, name);
      return element('li', {}, link, element('span', {}, bytesText(bytes)));
    });
    list.replaceChildren(...rows.reverse());
  }
}
