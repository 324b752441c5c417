// The 3-D view of a report: reads the scene that stands in the page and shows
// it. Where anything is missing (WebGL 2, DecompressionStream) it says so, and
// the still pictures of the report remain.
import {
  Box3,
  BufferAttribute,
  BufferGeometry,
  Points,
  PointsMaterial,
  Raycaster,
  Vector2,
  Vector3,
} from 'three';
import { AXES, Panel, pointText } from './panel.js';
import { Ruler, roundLength } from './ruler.js';
import { readScene } from './scene_file.js';
import { Slices } from './slices.js';
import { Stage } from './stage.js';
import { Surface, makeScale } from './surface.js';
import { make } from './words.js';

class View {
  constructor(figure, head) {
    this.head = head;
    const frame = make('div', { className: 'view-stage' });
    figure.prepend(frame);
    this.stage = new Stage(frame);
    this.stage.canvas.ariaLabel = `${head.title}: 3-D view`;
    const scale = makeScale(head.colours);
    this.surfaces = head.meshes.map((mesh) => new Surface(mesh, scale));
    this.slices = head.volume ? new Slices(head.volume) : null;
    this.fill();
    this.addBar(frame);
    this.panel = new Panel(figure, this);
    this.addPointing();
    this.home();
  }

  // The box measures the surfaces; a volume alone is measured itself.
  fill() {
    const { scene } = this.stage;
    const surfaces = this.surfaces.map((surface) => surface.object);
    const slices = this.slices ? [this.slices.object] : [];
    scene.add(...surfaces, ...slices);
    const box = new Box3();
    for (const object of surfaces.length ? surfaces : slices) box.expandByObject(object);
    if (this.slices) this.slices.middle = this.slices.indexOf(box.getCenter(new Vector3()));
    this.ruler = new Ruler(box);
    scene.add(this.ruler.object);
    this.stage.beforeDraw.push((pixelsPerMm) => this.ruler.keepSize(pixelsPerMm));
    this.stage.fit(box);
  }

  addBar(frame) {
    const bar = make('div', { className: 'view-bar' });
    frame.append(bar);
    this.stage.beforeDraw.push((pixelsPerMm) => {
      const length = roundLength(frame.clientWidth / 4 / pixelsPerMm);
      bar.style.width = `${length * pixelsPerMm}px`;
      bar.textContent = `${Number(length.toPrecision(3))} mm`;
    });
  }

  // From where most of an open sheet is seen, a little from the side.
  home() {
    const facing = this.surfaces[0]?.facing() ?? new Vector3();
    if (facing.length() < 0.1) facing.set(-0.7, -1, 0.5);
    const side = new Vector3(0, 0, 1).cross(facing);
    if (side.length() < 0.05) side.set(1, 0, 0);
    const from = facing.normalize().addScaledVector(side.normalize(), 0.35);
    from.z += 0.25;
    this.stage.lookFrom(from);
  }

  along(axis) {
    this.stage.lookFrom(AXES[axis]);
  }

  // A click, not the end of a drag.
  addPointing() {
    const { canvas } = this.stage;
    let start = null;
    canvas.addEventListener('pointerdown', (event) => {
      start = [event.clientX, event.clientY];
      canvas.focus({ preventScroll: true });
    });
    canvas.addEventListener('pointerup', (event) => {
      const still = start && Math.hypot(event.clientX - start[0], event.clientY - start[1]) < 4;
      if (still) this.pointAt(event.offsetX, event.offsetY);
    });
  }

  pointAt(x, y) {
    const { canvas, camera } = this.stage;
    const at = new Vector2((2 * x) / canvas.clientWidth - 1, 1 - (2 * y) / canvas.clientHeight);
    const ray = new Raycaster();
    camera.updateMatrixWorld(); // it may have moved since the last frame
    ray.setFromCamera(at, camera);
    const seen = this.surfaces.filter((surface) => surface.object.visible);
    const [hit] = ray.intersectObjects(seen.map((surface) => surface.object), false);
    if (!hit) return;
    const surface = seen.find(({ object }) => object === hit.object);
    const gap = this.last ? this.last.distanceTo(hit.point) : null;
    this.panel.say(pointText({ point: hit.point, facts: surface.describe(hit.face.a), gap }));
    this.last = hit.point;
    this.mark(hit.point);
  }

  mark(point) {
    if (!this.marker) {
      const geometry = new BufferGeometry();
      geometry.setAttribute('position', new BufferAttribute(new Float32Array(3), 3));
      const material = new PointsMaterial({ color: 0xd0342c, size: 9, sizeAttenuation: false });
      material.depthTest = false;
      this.marker = new Points(geometry, material);
      this.marker.renderOrder = 2;
      this.stage.scene.add(this.marker);
    }
    this.marker.position.copy(point);
    this.stage.changed();
  }
}

async function start(figure) {
  figure.hidden = false;
  try {
    const data = figure.parentElement.querySelector('script.view-data');
    const view = new View(figure, await readScene(data.textContent));
    figure.dataset.state = 'ready';
    figure.view = view; // for those who open the console, and for the tests
  } catch (problem) {
    figure.dataset.state = 'failed';
    figure.querySelector('.view-stage')?.remove();
    figure.prepend(`No 3-D view: ${problem.message}. The pictures of this page show the same.`);
  }
}

for (const figure of document.querySelectorAll('figure.view')) start(figure);
