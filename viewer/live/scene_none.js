// No 3-D view: stands for the one that is bundled where npm works.
export function openScene() {
  throw new Error('this echosolid was built without npm');
}
