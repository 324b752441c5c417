// How large it is: a box about everything with ticks in millimetres.
import {
  BufferAttribute,
  BufferGeometry,
  CanvasTexture,
  Group,
  LineBasicMaterial,
  LineSegments,
  Sprite,
  SpriteMaterial,
} from 'three';

const INK = '#4a5260';
const GROUND = '#f6f7f9';
const TEXT_PX = 12;

// 1, 2 or 5 times a power of ten, at most `limit`.
export function roundLength(limit) {
  const unit = 10 ** Math.floor(Math.log10(limit));
  return unit * ([5, 2].find((times) => unit * times <= limit) ?? 1);
}

function makeLabel(text) {
  const canvas = document.createElement('canvas');
  const ratio = 2;
  const brush = canvas.getContext('2d');
  const font = `${TEXT_PX * ratio}px system-ui, "DejaVu Sans", sans-serif`;
  brush.font = font;
  canvas.width = Math.ceil(brush.measureText(text).width) + 8;
  canvas.height = Math.ceil(TEXT_PX * ratio * 1.4);
  brush.font = font; // a new size clears it
  brush.fillStyle = INK;
  brush.textBaseline = 'middle';
  brush.lineJoin = 'round';
  brush.lineWidth = 5;
  brush.strokeStyle = GROUND; // readable over dark slices
  brush.strokeText(text, 4, canvas.height / 2);
  brush.fillText(text, 4, canvas.height / 2);
  const texture = new CanvasTexture(canvas);
  const label = new Sprite(new SpriteMaterial({ map: texture, depthTest: false }));
  label.userData = { width: canvas.width / ratio, height: canvas.height / ratio };
  return label;
}

function edges({ min, max }) {
  const corner = (k) => [k & 1 ? max.x : min.x, k & 2 ? max.y : min.y, k & 4 ? max.z : min.z];
  const lines = [];
  for (let k = 0; k < 8; k += 1)
    for (const bit of [1, 2, 4]) if (!(k & bit)) lines.push(...corner(k), ...corner(k | bit));
  return lines;
}

// Ticks along an edge of the box that starts at its least corner.
function ticks(box, axis, step, size) {
  const { min, max } = box;
  const out = (axis + 1) % 3; // they point away from the box
  const found = [];
  const first = Math.ceil(min.getComponent(axis) / step);
  for (let k = first; k * step <= max.getComponent(axis); k += 1) {
    const start = min.clone().setComponent(axis, k * step);
    const end = start.clone().setComponent(out, min.getComponent(out) - size);
    found.push({ start, end, text: `${Number((k * step).toPrecision(6))}` });
  }
  return found;
}

export class Ruler {
  constructor(box) {
    const longest = Math.max(...box.max.clone().sub(box.min).toArray());
    const step = roundLength(longest / 4);
    const lines = edges(box);
    this.object = new Group();
    this.labels = [];
    for (let axis = 0; axis < 3; axis += 1) {
      const found = ticks(box, axis, step, longest / 60);
      found.forEach(({ start, end, text }, k) => {
        lines.push(...start, ...end);
        const last = k === found.length - 1;
        this.addLabel(last ? `${text} mm ${'xyz'[axis]}` : text, start, end);
      });
    }
    const geometry = new BufferGeometry();
    geometry.setAttribute('position', new BufferAttribute(new Float32Array(lines), 3));
    this.object.add(new LineSegments(geometry, new LineBasicMaterial({ color: 0x9aa3b0 })));
  }

  addLabel(text, start, end) {
    const label = makeLabel(text);
    label.position.copy(end).addScaledVector(end.clone().sub(start), 1.6);
    this.labels.push(label);
    this.object.add(label);
  }

  // Labels keep their size on the screen.
  keepSize(pixelsPerMm) {
    for (const label of this.labels) {
      const { width, height } = label.userData;
      label.scale.set(width / pixelsPerMm, height / pixelsPerMm, 1);
    }
  }
}
