// The link to the program: a WebSocket that comes back by itself, and what comes
// through it as arrays. src/live/page_wire.h says how they stand in the bytes.

const VERSION = 2;
const AGAIN_MS = [300, 600, 1200, 2000];

// Reads one after the other, and says when more is asked for than there is.
class Reader {
  constructor(buffer) {
    this.buffer = buffer;
    this.view = new DataView(buffer);
    this.at = 0;
  }

  u32() {
    this.at += 4;
    return this.view.getUint32(this.at - 4, true);
  }

  f64() {
    this.at += 8;
    return this.view.getFloat64(this.at - 8, true);
  }

  array(Kind, count) {
    const taken = new Kind(this.buffer, this.at, count);
    this.at += (taken.byteLength + 3) & ~3;
    return taken;
  }
}

function readPicture(r) {
  const [time, index] = [r.f64(), r.f64()];
  const [width, height, fullWidth, fullHeight] = [r.u32(), r.u32(), r.u32(), r.u32()];
  const flags = r.u32();
  const points = r.u32();
  const place = r.array(Float32Array, 12);
  const bone = r.array(Float32Array, 3 * points);
  const grey = r.array(Uint8Array, width * height);
  const known = { place: flags & 1 ? place : null, looked: Boolean(flags & 2) };
  return { time, index, width, height, fullWidth, fullHeight, ...known, bone, grey };
}

function readMesh(r) {
  const [vertices, triangles] = [r.u32(), r.u32()];
  const [x, y, z, step] = r.array(Float32Array, 4);
  const positions = r.array(Uint16Array, 3 * vertices);
  const normals = r.array(Int8Array, 4 * vertices);
  const confidence = r.array(Uint8Array, vertices);
  const indices = r.array(vertices > 65536 ? Uint32Array : Uint16Array, 3 * triangles);
  return { origin: [x, y, z], step, positions, normals, confidence, indices };
}

function readPath(r) {
  const [places, gaps] = [r.u32(), r.u32()];
  return { places: r.array(Float32Array, 3 * places), gaps: r.array(Float32Array, 3 * gaps) };
}

// Slices across x, y and z: where they lie, what they show, and through which voxel.
function readCuts(r) {
  const slices = [0, 1, 2].map(() => {
    const [width, height] = [r.u32(), r.u32()];
    const place = r.array(Float32Array, 9);
    return { width, height, place, grey: r.array(Uint8Array, width * height) };
  });
  const size = [...r.array(Uint32Array, 3)];
  const through = [...r.array(Uint32Array, 3)];
  return { slices, size, through, toMm: r.array(Float32Array, 12) };
}

const READERS = {
  PICT: ['picture', readPicture],
  MESH: ['mesh', readMesh],
  CUTS: ['cuts', readCuts],
  PATH: ['path', readPath],
};

function decode(buffer) {
  const kind = new TextDecoder().decode(new Uint8Array(buffer, 0, 4));
  const reader = new Reader(buffer);
  reader.at = 4;
  if (!READERS[kind] || reader.u32() !== VERSION) return [];
  const [name, read] = READERS[kind];
  return [name, read(reader)];
}

// `on` has a function for each kind: hello, state, wizard, picture, mesh, cuts, path, open, shut,
// and `drawn` once all that came is shown. Of each kind only the newest is shown, and all of
// them at once, in front of the browser's next frame: each frame costs, whatever changed in it.
export class Link {
  // apartMs: frames are at least so far apart; 0: as the browser has them.
  constructor(on, apartMs = 0) {
    this.on = on;
    this.apartMs = apartMs;
    this.waiting = new Map(); // by kind
    this.unanswered = 0;
    this.shownMs = 0;
    this.tries = 0;
    this.connections = 0;
    this.open();
    // A tablet that wakes up does not wait for the next try.
    document.addEventListener('visibilitychange', () => {
      if (!document.hidden && this.socket.readyState === WebSocket.CLOSED) this.open();
    });
  }

  open() {
    clearTimeout(this.timer);
    const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
    const socket = new WebSocket(`${scheme}://${location.host}/live${location.search}`, 'echosolid');
    this.socket = socket;
    socket.binaryType = 'arraybuffer';
    socket.addEventListener('open', () => {
      this.tries = 0;
      this.connections += 1;
      this.on.open();
    });
    socket.addEventListener('message', (event) => this.take(event.data));
    socket.addEventListener('close', () => this.shut(socket));
  }

  take(data) {
    const binary = typeof data !== 'string';
    const [kind, value] = binary ? decode(data) : this.read(data);
    if (kind) this.waiting.set(kind, value);
    this.unanswered += binary ? 1 : 0;
    if (document.hidden) this.answer(); // frames come again when it is seen
    if (this.asked) return;
    this.asked = true;
    const wait = this.shownMs + this.apartMs - performance.now();
    if (wait > 0) setTimeout(() => requestAnimationFrame(() => this.show()), wait);
    else requestAnimationFrame(() => this.show());
  }

  read(text) {
    const message = JSON.parse(text);
    return [message.kind, message];
  }

  show() {
    this.asked = false;
    this.shownMs = performance.now();
    const shown = [...this.waiting];
    this.waiting.clear();
    try {
      for (const [kind, value] of shown) this.on[kind]?.(value);
      this.on.drawn();
    } finally {
      this.answer();
    }
  }

  // Once it is drawn: a page that draws slowly gets less.
  answer() {
    const { socket } = this;
    for (; this.unanswered > 0; this.unanswered -= 1)
      if (socket.readyState === WebSocket.OPEN) socket.send('seen');
  }

  shut(socket) {
    if (socket !== this.socket) return;
    this.waiting.clear();
    this.unanswered = 0;
    this.on.shut();
    const wait = AGAIN_MS[Math.min(this.tries, AGAIN_MS.length - 1)];
    this.tries += 1;
    this.timer = setTimeout(() => this.open(), wait);
  }

  ask(what, more = {}) {
    const { socket } = this;
    if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ do: what, ...more }));
  }
}
