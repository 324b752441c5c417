// Geometry that changes with every message: its memory, here and where it is drawn, is used
// again, and only grows.
import { BufferAttribute, BufferGeometry, DynamicDrawUsage } from 'three';

const ROOM = 1.5;

function fits(attribute, values) {
  const array = attribute?.array;
  return array?.constructor === values.constructor && array.length >= values.length;
}

function make([values, size, normalized]) {
  const array = new values.constructor(size * Math.ceil((ROOM * values.length) / size));
  return new BufferAttribute(array, size, normalized ?? false).setUsage(DynamicDrawUsage);
}

function put(attribute, values) {
  attribute.array.set(values);
  attribute.clearUpdateRanges();
  attribute.addUpdateRange(0, values.length);
  attribute.needsUpdate = true;
}

// `arrays`: by name [values, how many a corner, whether 255 stands for 1]; `indices` may be
// left out.
export function refill(object, arrays, indices) {
  let { geometry } = object;
  const entries = Object.entries(arrays);
  const all = entries.every(([name, [values]]) => fits(geometry.getAttribute(name), values));
  if (!all || (indices && !fits(geometry.index, indices))) {
    geometry.dispose();
    geometry = new BufferGeometry();
    for (const [name, array] of entries) geometry.setAttribute(name, make(array));
    if (indices) geometry.setIndex(make([indices, 1]));
    object.geometry = geometry;
  }
  for (const [name, [values]] of entries) put(geometry.getAttribute(name), values);
  if (indices) put(geometry.index, indices);
  const [values, size] = entries[0][1];
  geometry.setDrawRange(0, indices ? indices.length : values.length / size);
}
