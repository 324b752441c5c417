// The live page: what comes through the link goes to the pictures and the panel,
// what is pressed goes back.
import { Cuts } from './cuts.js';
import { Link } from './link.js';
import { Measure } from './measure.js';
import { Panel } from './panel.js';
import { Picture } from './picture.js';
import { openScene } from './scene.js';
import { Wizard } from './wizard.js';

// Where no graphics card draws, more frames would be taken from the scan itself.
const SOFTWARE_APART_MS = 60;

const byId = (id) => document.getElementById(id);

const cuts = new Cuts(byId('cuts'), (what, more) => link.ask(what, more));
const measure = new Measure(byId('picture'), (what, more) => link.ask(what, more));
const panel = new Panel((what) => link.ask(what));
const wizard = new Wizard(byId('wizard'), byId('calibrate'), (more) => link.ask('wizard', more));
// For those who open the console, and for the tests.
const live = { meshes: 0, triangles: 0, paths: 0, panel, cuts, measure, wizard, scene: null, state: null };
window.live = live;

try {
  live.scene = openScene(byId('stage'), {
    note: byId('stage-note'),
    bar: byId('scale-bar'),
    legend: byId('legend'),
  });
  byId('view-buttons').hidden = false;
} catch (problem) {
  byId('stage-note').textContent = `No 3-D view: ${problem.message}. Everything else works.`;
}
const scene = live.scene;
const software = scene?.stage.software ?? true;
const picture = new Picture(byId('picture'), software);
live.picture = picture;

const link = new Link({
  open() {},
  shut() {
    panel.away();
  },
  hello(hello) {
    panel.greet(hello);
    scene?.setColours(hello.colours);
  },
  state(state) {
    live.state = state;
    panel.show(state);
    cuts.state(state.slice);
  },
  wizard(state) {
    wizard.show(state);
  },
  picture(shown) {
    picture.show(shown);
    measure.show(shown);
    scene?.setPicture(shown);
  },
  mesh(mesh) {
    live.meshes += 1;
    live.triangles = mesh.indices.length / 3;
    scene?.setMesh(mesh);
  },
  cuts(shown) {
    cuts.show(shown);
  },
  evidence(answer) {
    measure.evidence(answer);
  },
  path(path) {
    live.paths += 1;
    scene?.setPath(path);
  },
  drawn() {
    scene?.show();
  },
}, software ? SOFTWARE_APART_MS : 0);
live.link = link;

function press(id, change) {
  const button = byId(id);
  const pressed = button.getAttribute('aria-pressed') !== 'true';
  button.setAttribute('aria-pressed', String(pressed));
  change(pressed);
}

const actions = {
  home: () => scene?.home(),
  follow: () => press('follow', (on) => scene?.follow(on)),
  colour: () => press('colour', (on) => scene?.colourByConfidence(on)),
  plane: () => press('plane', (on) => scene?.showPlane(on)),
};
for (const [id, act] of Object.entries(actions)) byId(id).addEventListener('click', act);

const keys = {
  ' ': () => panel.toggle(),
  s: () => panel.save(),
  u: () => panel.undo(),
  m: () => measure.toggle(),
  0: actions.home,
  f: actions.follow,
  c: actions.colour,
  p: actions.plane,
  k: () => wizard.toggle(),
};
document.addEventListener('keydown', (event) => {
  const plain = !event.ctrlKey && !event.metaKey && !event.altKey && !event.repeat;
  const presses = event.target.closest?.('button, a') && event.key === ' ';
  const writes = event.target.closest?.('input:not([type=range]), select, textarea');
  if (!plain || presses || writes || !keys[event.key]) return;
  event.preventDefault();
  keys[event.key]();
});
