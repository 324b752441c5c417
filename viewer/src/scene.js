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
  LineSegments,
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
import { refill } from './refill.js';
import { roundLength } from './ruler.js';
import { Stage } from './stage.js';
import { makeMaterial, makeScale } from './surface.js';

const GROUND = 0x0d1117;
const BONE_LINE = 0xffd166;
const UP = new Vector3(0, 0, 1);
const ONE_SIDED = 0.15; // of the length that normals all alike would sum to
const MOST_PLACES = 1000; // looked at, of each part, for the size of the view
// Where no graphics card draws, the picture and the path move with the surface, or, when none
// comes, so often: drawing it takes as long as with a new one.
const SOFTWARE_APART_MS = 200;

// Dark echoes let through what lies behind them.
const PLANE_VERTEX = `
out vec2 at;
void main() {
  at = uv;
  gl_Position = projectionMatrix * (modelViewMatrix * vec4(position, 1.0));
}`;
const PLANE_FRAGMENT = `
in vec2 at;
out vec4 colour;
uniform sampler2D grey;
void main() {
  float value = texture(grey, at).r;
  colour = vec4(vec3(value), 0.3 + 0.65 * smoothstep(0.0, 0.5, value));
}`;

function lineOf(colour, opacity = 1, Kind = Line) {
  const material = new LineBasicMaterial({ color: colour, transparent: opacity < 1, opacity });
  const line = new Kind(new BufferGeometry(), material);
  line.frustumCulled = false;
  return line;
}

// Places in mm: steps from an origin, three numbers each.
function partOf(places, origin = [0, 0, 0], step = 1) {
  return { places, origin, step };
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
    this.parts = { mesh: partOf([]), plane: partOf([]), path: partOf([]) };
    this.meshes = 0;
    this.shown = 0; // meshes that were drawn
    this.undrawn = false; // the newest one
    this.stale = false; // or anything else
    this.drawnMs = 0;
    this.followed = false;
    this.stage.beforeDraw.push((pixelsPerMm) => {
      this.keepBar(pixelsPerMm);
      this.shown += this.undrawn ? 1 : 0;
      this.undrawn = this.stale = false;
      this.drawnMs = performance.now();
    });
  }

  setColours(colours) {
    if (this.scale) return;
    this.scale = makeScale(colours);
    const stops = colours.map((rgb) => `rgb(${rgb.join(' ')})`);
    this.legend.querySelector('i').style.background = `linear-gradient(to right, ${stops.join(', ')})`;
  }

  // ---- the surface

  setMesh({ origin, step, positions, normals, confidence, indices }) {
    if (!this.scale) return;
    if (!this.surface) {
      this.material = makeMaterial({ sheet: true }, this.scale);
      this.surface = new Mesh(new BufferGeometry(), this.material);
      this.surface.frustumCulled = false;
      this.root.add(this.surface);
      this.colourByConfidence(this.coloured ?? false);
    }
    const corners = { position: [positions, 3], normal: [normals, 4, true], scalar: [confidence, 1, true] };
    refill(this.surface, corners, indices);
    this.surface.position.fromArray(origin);
    this.surface.scale.setScalar(step);
    this.parts.mesh = partOf(positions, origin, step);
    this.meshes += 1;
    this.undrawn = true;
    if (this.meshes === 1) this.turnOutside(normals);
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
      forceSinglePass: true, // it is flat: one side hides nothing of the other
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
    this.found = lineOf(BONE_LINE, 1, LineSegments);
    this.found.material.depthTest = false;
    this.found.renderOrder = 2;
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
      this.stale = true;
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
    this.parts.plane = partOf([[0, 0], [1, 0], [1, 1], [0, 1]].flatMap(([u, v]) =>
      new Vector3(u, v, 0).applyMatrix4(this.probe.matrix).toArray()));
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
    const ends = new Float32Array(2 * bone.length);
    let count = 0;
    for (let k = 0; k + 3 < bone.length; k += 3) {
      if (Number.isNaN(bone[k]) || Number.isNaN(bone[k + 3])) continue;
      for (const end of [k, k + 3]) {
        ends[count] = (bone[end] + 0.5) / width;
        ends[count + 1] = (bone[end + 1] + 0.5) / height;
        count += 3;
      }
    }
    refill(this.found, { position: [ends.subarray(0, count), 3] });
  }

  showPlane(on) {
    this.planeWanted = on;
    this.probe.visible = on;
    this.stage.changed();
  }

  // ---- the path

  setPath({ places, gaps }) {
    refill(this.path, { position: [places, 3] });
    refill(this.gaps, { position: [gaps, 3] });
    this.gaps.visible = gaps.length > 0;
    this.parts.path = partOf(places);
    this.keepInSight();
  }

  // ---- the eye

  // Depth points down, for good: what turns with every frame cannot be followed.
  turnOnce(frame) {
    this.along = new Vector3().setFromMatrixColumn(frame, 0).normalize();
    if (this.turned) return;
    this.turn(new Vector3().setFromMatrixColumn(frame, 1).normalize().negate());
  }

  turn(up) {
    this.turned = true;
    this.root.quaternion.copy(new Quaternion().setFromUnitVectors(up, UP));
    this.root.updateMatrixWorld();
    const along = (this.along ?? new Vector3(1, 0, 0)).clone().applyQuaternion(this.root.quaternion);
    along.addScaledVector(UP, -along.dot(UP)).normalize();
    const across = along.clone().cross(UP);
    this.from = across.multiplyScalar(0.8).addScaledVector(along, 0.5).addScaledVector(UP, 0.45);
  }

  // Who opens the page in the middle of a scan sees the bone from outside, wherever the
  // probe is just then: its mean normal points up, unless it is seen from all sides.
  turnOutside(normals) {
    const sum = new Vector3();
    const count = normals.length / 4;
    for (let k = 0; k < normals.length; k += 4)
      sum.add(new Vector3(normals[k], normals[k + 1], normals[k + 2]));
    if (!(sum.length() > ONE_SIDED * 127 * count) || this.isChosen()) return;
    this.turn(sum.normalize());
    this.looked = false;
    this.stage.centre = undefined;
  }

  // From where to where everything, or the probe alone, reaches along a direction.
  reach(axis) {
    const sets = this.followed ? [this.parts.plane] : Object.values(this.parts);
    const before = axis.clone().applyQuaternion(this.root.quaternion.clone().invert());
    const [x, y, z] = before.toArray();
    let [low, high] = [Infinity, -Infinity];
    for (const { places, origin, step } of sets) {
      const start = x * origin[0] + y * origin[1] + z * origin[2];
      const apart = 3 * Math.max(1, Math.floor(places.length / 3 / MOST_PLACES));
      for (let k = 0; k + 2 < places.length; k += apart) {
        const at = start + step * (x * places[k] + y * places[k + 1] + z * places[k + 2]);
        low = Math.min(low, at);
        high = Math.max(high, at);
      }
    }
    return [low, high];
  }

  // What a look along `from` must show: its middle, and half of its height when the
  // window is wider than high, else of its width.
  frame(from) {
    const back = from.clone().normalize();
    const right = UP.clone().cross(back).normalize();
    const up = back.clone().cross(right);
    const axes = [right, up, back];
    const reaches = axes.map((axis) => this.reach(axis));
    if (!(reaches[0][1] >= reaches[0][0])) return null;
    const centre = new Vector3();
    axes.forEach((axis, a) => centre.addScaledVector(axis, (reaches[a][0] + reaches[a][1]) / 2));
    const { width, height } = this.stage;
    const aspect = width / Math.max(1, height);
    const [across, down] = reaches.map(([low, high]) => (high - low) / 2);
    const half = aspect > 1 ? Math.max(down, across / aspect) : Math.max(across, down * aspect);
    return { centre, half: Math.max(half, 1) };
  }

  // The view widens when what there is leaves it; one that was chosen by hand stays.
  keepInSight() {
    this.stale = true;
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

  // In front of a frame, when all that came has been set.
  show() {
    const soon = this.undrawn || !this.stage.software;
    if (soon || performance.now() > this.drawnMs + SOFTWARE_APART_MS) {
      if (this.undrawn || this.stale) this.stage.changed();
    }
    this.stage.drawNow();
  }

  // Elements are touched only where something changes: that costs a layout.
  keepBar(pixelsPerMm) {
    const length = roundLength(this.stage.width / 5 / pixelsPerMm);
    const wide = `${(length * pixelsPerMm).toFixed(1)}px`;
    const words = `${Number(length.toPrecision(3))} mm`;
    if (this.barWide !== wide) this.bar.style.width = wide;
    if (this.barWords !== words) this.bar.textContent = words;
    this.barWide = wide;
    this.barWords = words;
  }
}

export function openScene(parent, parts) {
  return new LiveScene(parent, parts);
}
