// The 3-D view of the live page: the growing surface, the picture in its place,
// the probe's path and the gaps in it. Everything hangs in one group that is
// turned so that the probe comes from above.
import {
  BufferAttribute,
  BufferGeometry,
  Color,
  DataTexture,
  DoubleSide,
  GLSL3,
  Group,
  Line,
  LineBasicMaterial,
  LinearFilter,
  Matrix4,
  Mesh,
  Points,
  PointsMaterial,
  Quaternion,
  RedFormat,
  ShaderMaterial,
  Vector3,
} from 'three';
import { roundLength } from './ruler.js';
import { Stage } from './stage.js';
import { makeMaterial, makeScale } from './surface.js';

const GROUND = 0x0d1117;
const BONE_LINE = 0xffd166;
const UP = new Vector3(0, 0, 1);
const MOST_PLACES = 1000; // looked at, of each part, for the size of the view

// Dark echoes let through what lies behind them.
const PLANE_VERTEX = `
out vec2 at;
void main() {
  at = uv;
  gl_Position = projectionMatrix * modelViewMatrix * vec4(position, 1.0);
}`;
const PLANE_FRAGMENT = `
in vec2 at;
out vec4 colour;
uniform sampler2D grey;
void main() {
  float value = texture(grey, at).r;
  colour = vec4(vec3(value), 0.3 + 0.65 * smoothstep(0.0, 0.5, value));
}`;

function lineOf(colour, opacity = 1) {
  const material = new LineBasicMaterial({ color: colour, transparent: opacity < 1, opacity });
  const line = new Line(new BufferGeometry(), material);
  line.frustumCulled = false;
  return line;
}

function setPlaces(object, places) {
  object.geometry.dispose();
  object.geometry = new BufferGeometry();
  object.geometry.setAttribute('position', new BufferAttribute(places, 3));
}

class LiveScene {
  constructor(parent, { note, bar, legend }) {
    this.parent = parent;
    Object.assign(this, { note, bar, legend });
    this.stage = new Stage(parent);
    this.stage.canvas.ariaLabel = 'The bone so far; drag to turn, wheel to zoom';
    this.stage.scene.background = new Color(GROUND);
    this.root = new Group();
    this.stage.scene.add(this.root);
    this.addPlane();
    this.path = lineOf(0x58c4b6, 0.7);
    this.gaps = new Points(
      new BufferGeometry(),
      new PointsMaterial({ color: 0xff7a70, size: 5, sizeAttenuation: false, depthTest: false }),
    );
    this.gaps.frustumCulled = false;
    this.root.add(this.path, this.gaps);
    this.parts = { mesh: [], plane: [], path: [] }; // places in mm, three numbers each
    this.meshes = 0;
    this.followed = false;
    this.stage.beforeDraw.push((pixelsPerMm) => this.keepBar(pixelsPerMm));
  }

  setColours(colours) {
    if (this.scale) return;
    this.scale = makeScale(colours);
    const stops = colours.map((rgb) => `rgb(${rgb.join(' ')})`);
    this.legend.querySelector('i').style.background = `linear-gradient(to right, ${stops.join(', ')})`;
  }

  // ---- the surface

  setMesh({ positions, normals, confidence, indices }) {
    if (!this.scale) return;
    if (!this.surface) {
      this.material = makeMaterial({ sheet: true }, this.scale);
      this.surface = new Mesh(new BufferGeometry(), this.material);
      this.surface.frustumCulled = false;
      this.root.add(this.surface);
      this.colourByConfidence(this.coloured ?? false);
    }
    const geometry = new BufferGeometry();
    geometry.setAttribute('position', new BufferAttribute(positions, 3));
    const packed = new BufferAttribute(normals, 4, true);
    geometry.setAttribute('normal', packed);
    geometry.setAttribute('scalar', new BufferAttribute(confidence, 1, true));
    geometry.setIndex(new BufferAttribute(indices, 1));
    this.surface.geometry.dispose();
    this.surface.geometry = geometry;
    this.parts.mesh = positions;
    this.meshes += 1;
    this.note.hidden = true;
    this.keepInSight();
  }

  colourByConfidence(on) {
    this.coloured = on;
    this.legend.hidden = !on;
    if (this.material) this.material.uniforms.coloured.value = on;
    this.stage.changed();
  }

  // ---- the picture in its place

  addPlane() {
    const geometry = new BufferGeometry();
    const corners = new Float32Array([0, 0, 0, 1, 0, 0, 1, 1, 0, 0, 1, 0]);
    geometry.setAttribute('position', new BufferAttribute(corners, 3));
    geometry.setAttribute('uv', new BufferAttribute(new Float32Array([0, 0, 1, 0, 1, 1, 0, 1]), 2));
    geometry.setIndex([0, 1, 2, 0, 2, 3]);
    const material = new ShaderMaterial({
      glslVersion: GLSL3,
      side: DoubleSide,
      transparent: true,
      depthWrite: false,
      vertexShader: PLANE_VERTEX,
      fragmentShader: PLANE_FRAGMENT,
      uniforms: { grey: { value: null } },
    });
    this.plane = new Mesh(geometry, material);
    this.rim = lineOf(0x7f93a8);
    this.rim.geometry.setAttribute(
      'position',
      new BufferAttribute(new Float32Array([0, 0, 0, 1, 0, 0, 1, 1, 0, 0, 1, 0, 0, 0, 0]), 3),
    );
    this.found = new Group();
    this.probe = new Group();
    this.probe.matrixAutoUpdate = false;
    this.probe.visible = false;
    this.probe.add(this.plane, this.rim, this.found);
    for (const object of [this.plane, this.rim]) object.frustumCulled = false;
    this.plane.renderOrder = 1;
    this.root.add(this.probe);
    this.planeWanted = true;
  }

  setPicture({ width, height, fullWidth, fullHeight, grey, place, bone }) {
    this.probe.visible = Boolean(place) && this.planeWanted;
    if (!place) {
      this.stage.changed();
      return;
    }
    this.putGrey(width, height, grey);
    const [a, b, c, d, e, f, g, h, i, j, k, l] = place;
    const frame = new Matrix4().set(a, b, c, d, e, f, g, h, i, j, k, l, 0, 0, 0, 1);
    // From the unit square to pixels (whose middles are at whole numbers) to mm.
    const pixels = new Matrix4().makeScale(fullWidth, fullHeight, 1).setPosition(-0.5, -0.5, 0);
    this.probe.matrix.multiplyMatrices(frame, pixels);
    this.probe.matrixWorldNeedsUpdate = true;
    this.putBone(bone, fullWidth, fullHeight);
    this.turnOnce(frame);
    this.parts.plane = [[0, 0], [1, 0], [1, 1], [0, 1]].flatMap(([u, v]) =>
      new Vector3(u, v, 0).applyMatrix4(this.probe.matrix).toArray());
    this.keepInSight();
  }

  putGrey(width, height, grey) {
    const { uniforms } = this.plane.material;
    const old = uniforms.grey.value;
    if (old && old.image.width === width && old.image.height === height) {
      old.image.data.set(grey);
      old.needsUpdate = true;
      return;
    }
    old?.dispose();
    const texture = new DataTexture(new Uint8Array(grey), width, height, RedFormat);
    texture.minFilter = texture.magFilter = LinearFilter;
    texture.needsUpdate = true;
    uniforms.grey.value = texture;
  }

  // The found bone as lines in the unit square of the picture.
  putBone(bone, width, height) {
    for (const line of this.found.children) line.geometry.dispose();
    this.found.clear();
    let piece = [];
    for (let k = 0; k < bone.length; k += 3) {
      if (!Number.isNaN(bone[k])) {
        piece.push((bone[k] + 0.5) / width, (bone[k + 1] + 0.5) / height, 0);
      } else if (piece.length) {
        const line = lineOf(BONE_LINE);
        line.material.depthTest = false;
        line.renderOrder = 2;
        setPlaces(line, new Float32Array(piece));
        this.found.add(line);
        piece = [];
      }
    }
  }

  showPlane(on) {
    this.planeWanted = on;
    this.probe.visible = on;
    this.stage.changed();
  }

  // ---- the path

  setPath({ places, gaps }) {
    setPlaces(this.path, places);
    setPlaces(this.gaps, gaps);
    this.gaps.visible = gaps.length > 0;
    this.parts.path = places;
    this.keepInSight();
  }

  // ---- the eye

  // Depth points down, for good: what turns with every frame cannot be followed.
  turnOnce(frame) {
    if (this.turned) return;
    this.turned = true;
    const down = new Vector3().setFromMatrixColumn(frame, 1).normalize();
    this.root.quaternion.copy(new Quaternion().setFromUnitVectors(down, UP.clone().negate()));
    this.root.updateMatrixWorld();
    const along = new Vector3().setFromMatrixColumn(frame, 0).normalize();
    along.applyQuaternion(this.root.quaternion);
    const across = along.clone().cross(UP);
    this.from = across.multiplyScalar(0.8).addScaledVector(along, 0.5).addScaledVector(UP, 0.45);
  }

  // Places, as they lie after the turn, of everything or of the probe alone.
  places() {
    const sets = this.followed ? [this.parts.plane] : Object.values(this.parts);
    const places = [];
    for (const set of sets) {
      const step = 3 * Math.max(1, Math.floor(set.length / 3 / MOST_PLACES));
      for (let k = 0; k + 2 < set.length; k += step)
        places.push(new Vector3().fromArray(set, k).applyQuaternion(this.root.quaternion));
    }
    return places;
  }

  // What a look along `from` must show: its middle, and half of its height when the
  // window is wider than high, else of its width.
  frame(from) {
    const back = from.clone().normalize();
    const right = UP.clone().cross(back).normalize();
    const up = back.clone().cross(right);
    const axes = [right, up, back];
    const low = axes.map(() => Infinity);
    const high = axes.map(() => -Infinity);
    for (const place of this.places()) {
      axes.forEach((axis, a) => {
        const at = axis.dot(place);
        low[a] = Math.min(low[a], at);
        high[a] = Math.max(high[a], at);
      });
    }
    if (!(high[0] >= low[0])) return null;
    const centre = new Vector3();
    axes.forEach((axis, a) => centre.addScaledVector(axis, (low[a] + high[a]) / 2));
    const aspect = this.parent.clientWidth / Math.max(1, this.parent.clientHeight);
    const [across, down] = [0, 1].map((a) => (high[a] - low[a]) / 2);
    const half = aspect > 1 ? Math.max(down, across / aspect) : Math.max(across, down * aspect);
    return { centre, half: Math.max(half, 1) };
  }

  // The view widens when what there is leaves it; one that was chosen by hand stays.
  keepInSight() {
    this.stage.changed();
    if (!this.turned || this.isChosen()) return;
    const from = this.eye();
    const wanted = this.frame(from);
    if (!wanted) return;
    const { stage } = this;
    const away = stage.centre ? stage.centre.distanceTo(wanted.centre) : Infinity;
    if (wanted.half + away < stage.radius && wanted.half > 0.4 * stage.radius) return;
    this.bar.hidden = false;
    stage.centre = wanted.centre;
    stage.radius = 1.15 * wanted.half;
    stage.resize();
    stage.lookFrom(from);
  }

  isChosen() {
    const { camera, controls, centre } = this.stage;
    if (!centre) return false;
    const moved = controls.target.distanceTo(centre);
    return Math.abs(camera.zoom - 1) > 1e-3 || moved > 0.02 * this.stage.radius;
  }

  // The direction of now, or the one to begin with.
  eye() {
    const { camera, controls } = this.stage;
    if (!this.looked) {
      this.looked = true;
      return this.from;
    }
    return camera.position.clone().sub(controls.target);
  }

  home() {
    if (!this.turned) return;
    this.looked = false;
    this.stage.centre = undefined;
    this.keepInSight();
  }

  follow(on) {
    this.followed = on;
    this.stage.centre = undefined;
    this.keepInSight();
  }

  keepBar(pixelsPerMm) {
    const length = roundLength(this.parent.clientWidth / 5 / pixelsPerMm);
    this.bar.style.width = `${length * pixelsPerMm}px`;
    this.bar.textContent = `${Number(length.toPrecision(3))} mm`;
  }
}

export function openScene(parent, parts) {
  return new LiveScene(parent, parts);
}
