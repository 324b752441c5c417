// What the program writes (src/pipeline/view.c) and this page reads: "ESVIEW1\n",
// the length of a JSON head as u32, the head padded to 4 bytes, then the arrays
// that it describes, all little-endian; the whole as one zlib stream in base64.

const MAGIC = 'ESVIEW1\n';

async function inflate(text) {
  const packed = Uint8Array.from(atob(text.trim()), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream('deflate'));
  return new Response(stream).arrayBuffer();
}

const KINDS = { u8: Uint8Array, u16: Uint16Array, u32: Uint32Array };

// Replaces every {kind, offset, count} in the head by the array itself.
function attach(value, bytes, start) {
  if (value === null || typeof value !== 'object') return value;
  if (value.kind) return new KINDS[value.kind](bytes, start + value.offset, value.count);
  for (const key of Object.keys(value)) value[key] = attach(value[key], bytes, start);
  return value;
}

export async function readScene(text) {
  const bytes = await inflate(text);
  const magic = new TextDecoder().decode(new Uint8Array(bytes, 0, MAGIC.length));
  if (magic !== MAGIC) throw new Error('these are not data of a 3-D view');
  const start = MAGIC.length + 4;
  const length = new DataView(bytes).getUint32(MAGIC.length, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, start, length)));
  return attach(head, bytes, start + length);
}
