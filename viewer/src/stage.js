// The stage: renderer, camera and what moves it. It draws only when something
// changed, so that an open page costs nothing.
import {
  Color,
  ColorManagement,
  LinearSRGBColorSpace,
  OrthographicCamera,
  Quaternion,
  Scene,
  Vector3,
  WebGLRenderer,
} from 'three';
import { OrbitControls } from 'three/addons/controls/OrbitControls.js';

ColorManagement.enabled = false; // colours are those of the screen throughout

const BACKGROUND = 0xf6f7f9; // of the still pictures
const SOFTWARE = /swiftshader|llvmpipe|software/i;
const UP = new Vector3(0, 0, 1);

// Multisampling doubles the time of a frame where no graphics card draws it.
function isSoftware() {
  const gl = document.createElement('canvas').getContext('webgl2');
  if (!gl) throw new Error('this browser gives no WebGL 2');
  const names = gl.getExtension('WEBGL_debug_renderer_info');
  const name = names ? gl.getParameter(names.UNMASKED_RENDERER_WEBGL) : '';
  gl.getExtension('WEBGL_lose_context')?.loseContext();
  return SOFTWARE.test(name);
}

export class Stage {
  constructor(parent) {
    this.software = isSoftware();
    this.renderer = new WebGLRenderer({ antialias: !this.software });
    this.renderer.outputColorSpace = LinearSRGBColorSpace; // nothing is converted
    this.canvas = this.renderer.domElement;
    this.canvas.tabIndex = 0;
    parent.append(this.canvas);
    this.scene = new Scene();
    this.scene.background = new Color(BACKGROUND);
    this.camera = new OrthographicCamera();
    this.camera.up.copy(UP);
    this.controls = new OrbitControls(this.camera, this.canvas);
    this.controls.addEventListener('change', () => this.changed());
    this.width = this.height = 0; // of the parent
    this.beforeDraw = [];
    this.frames = 0;
    new ResizeObserver(() => this.resize()).observe(parent);
  }

  changed() {
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => this.draw());
  }

  // If anything changed: for who is in front of a frame already.
  drawNow() {
    if (!this.waiting) return;
    cancelAnimationFrame(this.waiting);
    this.draw();
  }

  draw() {
    this.waiting = 0;
    for (const prepare of this.beforeDraw) prepare(this.pixelsPerMm());
    this.renderer.render(this.scene, this.camera);
    this.frames += 1;
  }

  pixelsPerMm() {
    return (this.height * this.camera.zoom) / (this.camera.top - this.camera.bottom);
  }

  // Takes the box (three's Box3) that every view shows whole.
  fit(box) {
    this.centre = box.getCenter(new Vector3());
    this.radius = Math.max(box.getSize(new Vector3()).length() / 2, 1e-3);
    this.resize();
  }

  resize() {
    this.measure();
    const { width, height } = this;
    if (!width || !height || !this.radius) return;
    const half = this.radius * 1.08;
    const aspect = width / height;
    const across = aspect > 1 ? half * aspect : half;
    const down = aspect > 1 ? half : half / aspect;
    Object.assign(this.camera, { left: -across, right: across, top: down, bottom: -down });
    this.camera.near = -40 * this.radius; // an orthographic eye is nowhere near
    this.camera.far = 40 * this.radius;
    this.camera.updateProjectionMatrix();
    this.sizeCanvas();
    this.changed();
  }

  measure() {
    const { clientWidth, clientHeight } = this.canvas.parentElement;
    this.width = clientWidth;
    this.height = clientHeight;
  }

  // Its memory is made anew, so only where its size changes.
  sizeCanvas() {
    const ratio = this.software ? 1 : Math.min(window.devicePixelRatio, 2);
    const size = [this.width, this.height, ratio];
    if (this.size?.every((side, k) => side === size[k])) return;
    this.size = size;
    this.renderer.setPixelRatio(ratio);
    this.renderer.setSize(this.width, this.height);
  }

  // Looks at the middle from this direction, everything in sight.
  lookFrom(direction) {
    const from = direction.clone().normalize();
    if (Math.abs(from.z) > 0.999) from.set(0, -1e-3, from.z).normalize(); // z stays up
    this.controls.target.copy(this.centre);
    this.camera.position.copy(this.centre).addScaledVector(from, 4 * this.radius);
    this.camera.zoom = 1;
    this.camera.updateProjectionMatrix();
    this.controls.update();
    this.changed();
  }

  // Radians to the right and up about the target; z stays up.
  turn(right, up) {
    const offset = this.camera.position.clone().sub(this.controls.target);
    const side = new Vector3().setFromMatrixColumn(this.camera.matrix, 0);
    const turned = offset.clone().applyQuaternion(new Quaternion().setFromAxisAngle(side, -up));
    turned.applyQuaternion(new Quaternion().setFromAxisAngle(UP, right));
    const steep = Math.abs(turned.z) > 0.9999 * turned.length();
    if (steep) return;
    this.camera.position.copy(this.controls.target).add(turned);
    this.controls.update();
    this.changed();
  }

  // Shares of the picture's height to the right and up.
  pan(right, up) {
    const height = (this.camera.top - this.camera.bottom) / this.camera.zoom;
    const step = new Vector3()
      .setFromMatrixColumn(this.camera.matrix, 0)
      .multiplyScalar(right * height)
      .addScaledVector(new Vector3().setFromMatrixColumn(this.camera.matrix, 1), up * height);
    this.camera.position.add(step);
    this.controls.target.add(step);
    this.controls.update();
    this.changed();
  }

  zoom(factor) {
    this.camera.zoom = Math.min(100, Math.max(0.2, this.camera.zoom * factor));
    this.camera.updateProjectionMatrix();
    this.changed();
  }
}
