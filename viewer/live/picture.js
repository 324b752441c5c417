// The picture as it comes, the bone that was found in it, and millimetres.

const LINE = '#ffd166';
const TICKS = '#97a5b6';

// Lengths of a pixel along u and v, mm; 0 when the picture has no place.
function pixelSize(place) {
  if (!place) return [0, 0];
  const length = (k) => Math.hypot(place[k], place[4 + k], place[8 + k]);
  return [length(0), length(1)];
}

export class Picture {
  constructor(section) {
    this.canvas = section.querySelector('canvas');
    this.note = section.querySelector('#picture-note');
    this.context = this.canvas.getContext('2d');
    this.scratch = document.createElement('canvas');
    this.count = 0;
    this.points = 0;
  }

  show(picture) {
    this.paint(picture);
    this.points = 0;
    this.drawBone(picture);
    const [mmU, mmV] = pixelSize(picture.place);
    if (mmV > 0) this.drawTicks(picture, mmV);
    const squash = mmU > 0 ? mmU / mmV : 1;
    this.canvas.style.aspectRatio = `${picture.fullWidth * squash} / ${picture.fullHeight}`;
    this.note.textContent = this.describe(picture, mmV);
    this.count += 1;
  }

  // At about the size of the screen, so that the line is a fine one.
  paint({ width, height, grey }) {
    const { scratch, canvas, context } = this;
    if (scratch.width !== width || scratch.height !== height) {
      Object.assign(scratch, { width, height });
      this.pixels = new ImageData(width, height);
      this.words = new Uint32Array(this.pixels.data.buffer);
      this.scale = Math.max(1, Math.round(900 / Math.max(width, height)));
      Object.assign(canvas, { width: width * this.scale, height: height * this.scale });
    }
    for (let i = 0; i < grey.length; i += 1) this.words[i] = 0xff000000 | (grey[i] * 0x010101);
    scratch.getContext('2d').putImageData(this.pixels, 0, 0);
    context.drawImage(scratch, 0, 0, canvas.width, canvas.height);
  }

  drawBone({ bone, fullWidth, fullHeight }) {
    const { context, canvas } = this;
    const [x, y] = [canvas.width / fullWidth, canvas.height / fullHeight];
    context.strokeStyle = LINE;
    context.lineWidth = canvas.width / 300;
    context.lineJoin = 'round';
    context.beginPath();
    let drawing = false;
    for (let k = 0; k < bone.length; k += 3) {
      const there = !Number.isNaN(bone[k]);
      const at = [(bone[k] + 0.5) * x, (bone[k + 1] + 0.5) * y];
      if (there && drawing) context.lineTo(...at);
      else if (there) context.moveTo(...at);
      drawing = there;
      this.points += there ? 1 : 0;
    }
    context.stroke();
  }

  // Every 10 mm of depth, from the first row.
  drawTicks({ fullHeight }, mm) {
    const { context, canvas } = this;
    const step = (10 / mm / fullHeight) * canvas.height;
    context.fillStyle = TICKS;
    for (let k = 1; k * step < canvas.height; k += 1) {
      const long = k % 5 === 0 ? 2 : 1;
      context.fillRect(canvas.width * (1 - 0.012 * long), k * step, canvas.width * 0.012 * long, 2);
    }
  }

  describe({ fullWidth, fullHeight, place, looked }, mm) {
    const size = `${fullWidth} \u00d7 ${fullHeight}`;
    if (!place) return `${size}, no valid position`;
    const deep = ` ${(mm * fullHeight).toFixed(0)} mm deep, a tick every 10 mm`;
    return `${size},${deep}${this.points || !looked ? '' : '; no bone found'}`;
  }
}
