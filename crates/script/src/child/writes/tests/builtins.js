// Calls everything reachable from the global object with an event as `this` and
// as each argument. Names under which something changed the event are returned.
(() => {
  const { apply, construct, ownKeys, getOwnPropertyDescriptor, getPrototypeOf } = Reflect;
  const { parse, stringify } = JSON;
  const text = '{"a":{"b":1},"list":[3,1,2],"n":1}';
  const fresh = () => parse(text);
  const global = globalThis;
  // Not given to scripts, and one of them waits.
  for (const name of ['Atomics', 'SharedArrayBuffer', 'FinalizationRegistry', 'WeakRef', 'gc']) delete global[name];

  const functions = new Map();
  const seen = new Set([global]);
  const queue = ownKeys(global).map((key) => [key, global]);
  const syntax = [function* () {}, async function () {}, async function* () {}, [].values(), new Map().keys(), /a/];
  queue.push(...syntax.map((thing) => ['', { '': getPrototypeOf(thing) }]));
  while (queue.length > 0) {
    const [key, holder] = queue.pop();
    const { value, get, set } = getOwnPropertyDescriptor(holder, key) ?? {};
    for (const thing of [value, get, set]) {
      if ((typeof thing !== 'object' && typeof thing !== 'function') || thing === null) continue;
      // A getter or setter itself is had through its descriptor only.
      if (typeof thing === 'function' && thing === value) functions.set(thing, String(key));
      if (seen.has(thing)) continue;
      seen.add(thing);
      for (const name of ownKeys(thing)) queue.push([name, thing]);
      const prototype = getPrototypeOf(thing);
      if (prototype) queue.push(['', { '': prototype }]);
    }
  }

  const found = new Set();
  for (const [builtin, name] of functions) {
    const attempts = [];
    for (const arity of [0, 1, 2, 3]) {
      const rest = [['x', 9, 9], [0, 1, 9], [{ x: 9 }, { value: 9 }, 9], [() => 9, 9, 9], [/a/g, 'b', 9]];
      for (const others of rest) {
        const args = others.slice(0, arity);
        attempts.push((event) => apply(builtin, event, args));
        attempts.push((event) => apply(builtin, event.list, args));
        attempts.push((event) => apply(builtin, undefined, [event, ...args]));
        attempts.push((event) => apply(builtin, undefined, [event.list, ...args]));
        attempts.push((event) => apply(builtin, undefined, [...args, event]));
        attempts.push((event) => apply(builtin, function () { return event; }, args.length ? [[7], ...args] : [[7]]));
        attempts.push((event) => apply(builtin, function () { return event.list; }, [7, 8]));
        attempts.push((event) => construct(builtin, [event, ...args]));
      }
    }
    for (const attempt of attempts) {
      const event = fresh();
      let returned;
      try { returned = attempt(event); } catch { /* Most refuse. */ }
      if (stringify(event) !== text || returned === global || getPrototypeOf(event) !== Object.prototype) {
        found.add(name);
        break;
      }
    }
  }
  return [...found];
})()
