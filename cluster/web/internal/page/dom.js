// Elements are made here, and only from text: nothing that comes from the node is ever read as HTML.

const svgSpace = "http://www.w3.org/2000/svg";

// fill sets attributes and appends children, which are nodes or texts; null and false are left out.
function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) put(node, name, value);
  node.append(...children.flat().filter(child => child != null && child !== false));
  return node;
}

export const el = (name, attributes, ...children) => fill(document.createElement(name), attributes, children);

export const svg = (name, attributes, ...children) => fill(document.createElementNS(svgSpace, name), attributes, children);

// shape is the symbol of a state. Words stand beside it, so that it says nothing to a screen reader.
export const shape = state => svg("svg", { class: `shape is-${state}`, viewBox: "-10 -10 20 20", "aria-hidden": "true" },
  svg("use", { href: `#shape-${state}`, x: -10, y: -10, width: 20, height: 20 }));

export function reshape(node, state) {
  put(node, "class", `shape is-${state}`);
  put(node.firstChild, "href", `#shape-${state}`);
}

// put sets an attribute where it differs: writing what is there already costs the browser a style pass. null takes it away.
export function put(node, name, value) {
  if (value == null || value === false) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
    return;
  }
  const text = value === true ? "" : String(value);
  if (node.getAttribute(name) !== text) node.setAttribute(name, text);
}

export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function show(node, visible) {
  if (node.hidden === visible) node.hidden = !visible;
}

// replace puts other children into a node, unless they look the same: a selection in the text and the reader's place stay.
export function replace(node, ...children) {
  const next = el(node.localName, null, ...children);
  if (next.innerHTML !== node.innerHTML) node.replaceChildren(...next.childNodes);
}

// arrange makes the children of a node those that keys name, in that order, and returns nothing. Nodes are kept by key, and the one
// with the focus keeps it while it moves.
export function arrange(parent, kept, keys, make, update, after = null) {
  const wanted = new Set(keys);
  for (const [key, node] of kept) {
    if (!wanted.has(key)) {
      node.remove();
      kept.delete(key);
    }
  }
  const focused = document.activeElement;
  let at = after ? after.nextSibling : parent.firstChild;
  for (const key of keys) {
    let node = kept.get(key);
    if (!node) kept.set(key, node = make(key));
    if (node === at) at = at.nextSibling;
    else parent.insertBefore(node, at);
    update(node, key);
  }
  if (focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
}
