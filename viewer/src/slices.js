// Three planes through the grey volume. The texture holds 0 where nothing was
// seen, 1 to 255 for grey; planes stand in the texture's own unit cube and are
// carried to millimetres by one matrix, whatever way the volume lies.
import {
  BufferAttribute,
  BufferGeometry,
  Data3DTexture,
  DoubleSide,
  GLSL3,
  Group,
  LinearFilter,
  Matrix4,
  Mesh,
  RedFormat,
  ShaderMaterial,
  UnsignedByteType,
  Vector3,
} from 'three';

const VERTEX = `
out vec3 at;
uniform float place;
uniform int axis;
void main() {
  at = position;
  at[axis] = place;
  gl_Position = projectionMatrix * modelViewMatrix * vec4(at, 1.0);
}`;

const FRAGMENT = `
precision highp sampler3D;
in vec3 at;
out vec4 colour;
uniform sampler3D grey;
uniform float brightness;
void main() {
  ivec3 size = textureSize(grey, 0);
  ivec3 nearest = clamp(ivec3(at * vec3(size)), ivec3(0), size - 1);
  if (texelFetch(grey, nearest, 0).r == 0.0) discard;
  float value = (texture(grey, at).r * 255.0 - 1.0) / 254.0;
  colour = vec4(vec3(clamp(value * brightness, 0.0, 1.0)), 1.0);
}`;

function makeTexture({ size, values }) {
  const texture = new Data3DTexture(values, ...size);
  texture.format = RedFormat;
  texture.type = UnsignedByteType;
  texture.minFilter = texture.magFilter = LinearFilter;
  texture.unpackAlignment = 1;
  texture.needsUpdate = true;
  return texture;
}

// The unit square across the axis.
function square(axis) {
  const corners = [[0, 0], [1, 0], [1, 1], [0, 1]].flatMap(([a, b]) =>
    axis === 0 ? [0, a, b] : axis === 1 ? [a, 0, b] : [a, b, 0],
  );
  const geometry = new BufferGeometry();
  geometry.setAttribute('position', new BufferAttribute(new Float32Array(corners), 3));
  geometry.setIndex([0, 1, 2, 0, 2, 3]);
  return geometry;
}

export class Slices {
  constructor(data) {
    this.data = data;
    this.texture = makeTexture(data);
    this.brightness = { value: 1 };
    this.object = new Group();
    this.object.matrixAutoUpdate = false;
    this.object.matrix.copy(this.cubeToMm());
    this.planes = [0, 1, 2].map((axis) => this.makePlane(axis));
    this.object.add(...this.planes);
    this.object.updateMatrixWorld(true);
  }

  // The cube's corner 0 is half a voxel before the first voxel's centre.
  cubeToMm() {
    const { origin, axes, size } = this.data;
    const columns = axes.map((axis) => new Vector3().fromArray(axis));
    const corner = new Vector3().fromArray(origin);
    columns.forEach((column, k) => {
      corner.addScaledVector(column, -0.5);
      column.multiplyScalar(size[k]);
    });
    return new Matrix4().makeBasis(...columns).setPosition(corner);
  }

  makePlane(axis) {
    const material = new ShaderMaterial({
      glslVersion: GLSL3,
      side: DoubleSide,
      vertexShader: VERTEX,
      fragmentShader: FRAGMENT,
      uniforms: {
        grey: { value: this.texture },
        brightness: this.brightness,
        place: { value: 0.5 },
        axis: { value: axis },
      },
    });
    const plane = new Mesh(square(axis), material);
    plane.frustumCulled = false; // the shader puts it where it is
    return plane;
  }

  // The voxel that holds this point, the nearest one of a point outside.
  indexOf(point) {
    const at = point.clone().applyMatrix4(this.object.matrix.clone().invert()).toArray();
    const { size } = this.data;
    return at.map((share, k) => Math.min(size[k] - 1, Math.max(0, Math.floor(share * size[k]))));
  }

  // Voxel `index` along the axis; returns the place of its centre in words.
  move(axis, index) {
    const place = (index + 0.5) / this.data.size[axis];
    this.planes[axis].material.uniforms.place.value = place;
    const centre = [0.5, 0.5, 0.5];
    centre[axis] = place;
    const point = new Vector3(...centre).applyMatrix4(this.object.matrix);
    const direction = new Vector3().fromArray(this.data.axes[axis]).normalize();
    const along = [0, 1, 2].find((k) => Math.abs(direction.getComponent(k)) > 0.9999);
    if (along === undefined) return `voxel ${index + 1} of ${this.data.size[axis]}`;
    return `${'xyz'[along]} = ${point.getComponent(along).toFixed(1)} mm`;
  }
}
