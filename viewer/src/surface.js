// A mesh with its colourings. Corners come as 16-bit steps from an origin, with
// one step for all axes, so that normals need no correction.
import {
  BufferAttribute,
  BufferGeometry,
  DataTexture,
  DoubleSide,
  GLSL3,
  LinearFilter,
  Mesh,
  RGBAFormat,
  ShaderMaterial,
  Vector3,
} from 'three';

const VERTEX = `
in float scalar;
out vec3 turned;
out float value;
void main() {
  turned = normalize(normalMatrix * normal);
  value = scalar;
  gl_Position = projectionMatrix * (modelViewMatrix * vec4(position, 1.0));
}`;

// Light from the eye, as in the still pictures. Value 0 of 255 says: none known.
const FRAGMENT = `
in vec3 turned;
in float value;
out vec4 colour;
uniform sampler2D scale;
uniform bool coloured;
uniform bool sheet;
uniform vec3 plain;
uniform float opacity;
void main() {
  vec3 base = plain;
  float at = (value * 255.0 - 1.0) / 254.0;
  if (coloured) base = value * 255.0 < 0.5 ? vec3(0.62) : texture(scale, vec2(at * SPAN + MARGIN, 0.5)).rgb;
  if (sheet && !gl_FrontFacing) base = vec3(0.47, 0.56, 0.72);
  colour = vec4(base * (0.4 + 0.6 * abs(normalize(turned).z)), opacity);
}`;

export function makeScale(colours) {
  const texels = new Uint8Array(colours.flatMap((rgb) => [...rgb, 255]));
  const scale = new DataTexture(texels, colours.length, 1, RGBAFormat);
  scale.minFilter = scale.magFilter = LinearFilter;
  scale.needsUpdate = true;
  return scale;
}

export function makeMaterial(data, scale) {
  const width = scale.image.width; // the ends of the scale are the middles of its end texels
  const span = `${(width - 1) / width}`;
  const margin = `${0.5 / width}`;
  return new ShaderMaterial({
    glslVersion: GLSL3,
    side: DoubleSide,
    vertexShader: VERTEX,
    fragmentShader: FRAGMENT.replace('SPAN', span).replace('MARGIN', margin),
    uniforms: {
      scale: { value: scale },
      coloured: { value: false },
      sheet: { value: data.sheet },
      plain: { value: new Vector3(0.91, 0.86, 0.75) },
      opacity: { value: 1 },
    },
  });
}

export class Surface {
  constructor(data, scale) {
    this.data = data;
    const geometry = new BufferGeometry();
    geometry.setAttribute('position', new BufferAttribute(data.positions, 3));
    geometry.setIndex(new BufferAttribute(data.indices, 1));
    geometry.computeVertexNormals();
    this.material = makeMaterial(data, scale);
    this.object = new Mesh(geometry, this.material);
    this.object.position.fromArray(data.origin);
    this.object.scale.setScalar(data.step);
    this.object.updateMatrixWorld();
    this.colourBy(0);
  }

  // The mean normal: of length 1 for a flat sheet, 0 for a closed surface.
  facing() {
    const { positions, indices } = this.data;
    const corner = (k) => new Vector3().fromArray(positions, 3 * indices[k]);
    const sum = new Vector3();
    let area = 0;
    for (let k = 0; k < indices.length; k += 3) {
      const a = corner(k);
      const normal = corner(k + 1).sub(a).cross(corner(k + 2).sub(a));
      area += normal.length();
      sum.add(normal);
    }
    return area > 0 ? sum.divideScalar(area) : sum;
  }

  // 0 is plain bone, k the k-th colouring.
  colourBy(k) {
    const chosen = this.data.scalars[k - 1];
    const values = chosen ? chosen.values : new Uint8Array(this.data.positions.length / 3);
    this.object.geometry.setAttribute('scalar', new BufferAttribute(values, 1, true));
    this.material.uniforms.coloured.value = Boolean(chosen);
    this.colouring = chosen ?? null;
  }

  setOpacity(opacity) {
    this.material.uniforms.opacity.value = opacity;
    this.material.transparent = opacity < 1;
    this.material.depthWrite = opacity === 1;
    this.object.visible = opacity > 0;
  }

  // What is known of a corner, in words.
  describe(vertex) {
    return this.data.scalars.map(({ name, unit, low, high, values }) => {
      if (values[vertex] === 0) return `${name} not known`;
      const value = low + ((high - low) * (values[vertex] - 1)) / 254;
      return `${name} ${value.toFixed(2)}${unit && ` ${unit}`}${values[vertex] === 255 ? ' or more' : ''}`;
    });
  }
}
