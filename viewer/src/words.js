// Small makers of page elements.
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith('aria-')) element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

export function slider(label, { min, max, step, value }, changed) {
  const input = make('input', { type: 'range', 'aria-label': label });
  Object.assign(input, { min, max, step });
  input.value = value;
  const output = make('output');
  const show = () => {
    output.textContent = changed(Number(input.value)) ?? '';
  };
  input.addEventListener('input', show);
  show();
  return { input, show, row: make('label', {}, make('span', {}, label), input, output) };
}

export function check(label, checked, changed) {
  const input = make('input', { type: 'checkbox', checked });
  input.addEventListener('change', () => changed(input.checked));
  return { input, row: make('label', {}, input, make('span', {}, label)) };
}

export function choice(label, names, changed) {
  const select = make('select', { 'aria-label': label });
  names.forEach((name, k) => select.append(make('option', { value: k }, name)));
  select.addEventListener('change', () => changed(select.selectedIndex));
  return { select, row: make('label', {}, make('span', {}, label), select) };
}

export function button(label, pressed) {
  const element = make('button', { type: 'button' }, label);
  element.addEventListener('click', pressed);
  return element;
}
