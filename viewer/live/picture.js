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
  // `software`: no graphics card draws. Then it is put together by the processor and given
  // away once, instead of piece by piece to what stands in for the card.
  constructor(section, software) {
    this.canvas = section.querySelector('canvas');
    this.note = section.querySelector('#picture-note');
    this.context = this.canvas.getContext('2d', { alpha: false, willReadFrequently: software });
    this.scratch = document.createElement('canvas');
    this.scratchContext = this.scratch.getContext('2d', { alpha: false, willReadFrequently: software });
    this.shown = 0; // px of the screen along its longer side
    this.count = 0;
    this.points = 0;
    new ResizeObserver(([{ contentRect: { width, height } }]) => {
      this.shown = Math.max(width, height) * window.devicePixelRatio;
    }).observe(this.canvas);
  }

  show(picture) {
    this.paint(picture);
    this.points = 0;
    this.drawBone(picture);
    const [mmU, mmV] = pixelSize(picture.place);
    if (mmV > 0) this.drawTicks(picture, mmV);
    const squash = mmU > 0 ? mmU / mmV : 1;
    this.say((picture.fullWidth * squash) / picture.fullHeight, this.describe(picture, mmV));
    this.count += 1;
  }

  // Elements are touched only where something changes: that costs a layout.
  say(aspect, words) {
    if (this.aspect !== aspect) this.canvas.style.setProperty('--aspect', aspect);
    if (this.words !== words) this.note.textContent = words;
    this.aspect = aspect;
    this.words = words;
  }

  // At about the size of the screen, so that the line is a fine one; pixels as they come
  // where that is enough.
  paint({ width, height, grey }) {
    const { scratch, canvas, context } = this;
    const scale = Math.min(4, Math.max(1, Math.round(this.shown / Math.max(width, height))));
    if (scratch.width !== width || scratch.height !== height || scale !== this.scale) {
      Object.assign(scratch, { width, height });
      this.pixels = new ImageData(width, height);
      this.greys = new Uint32Array(this.pixels.data.buffer);
      this.scale = scale;
      Object.assign(canvas, { width: width * scale, height: height * scale });
    }
    for (let i = 0; i < grey.length; i += 1) this.greys[i] = 0xff000000 | (grey[i] * 0x010101);
    if (scale === 1) {
      context.putImageData(this.pixels, 0, 0);
      return;
    }
    this.scratchContext.putImageData(this.pixels, 0, 0);
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
