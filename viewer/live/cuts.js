// The volume in three slices, each as wide and high as it lies in space.

export class Cuts {
  constructor(section) {
    this.section = section;
    this.canvases = [...section.querySelectorAll('canvas')];
    this.count = 0;
  }

  show(cuts) {
    this.section.hidden = false;
    cuts.forEach((cut, axis) => this.paint(this.canvases[axis], cut));
    this.count += 1;
  }

  paint(canvas, { width, height, place, grey }) {
    Object.assign(canvas, { width, height });
    const pixels = new ImageData(width, height);
    const words = new Uint32Array(pixels.data.buffer);
    for (let i = 0; i < grey.length; i += 1) words[i] = 0xff000000 | (grey[i] * 0x010101);
    canvas.getContext('2d').putImageData(pixels, 0, 0);
    const step = (at) => Math.hypot(place[at], place[at + 1], place[at + 2]);
    canvas.style.aspectRatio = `${width * step(3)} / ${height * step(6)}`;
  }
}
