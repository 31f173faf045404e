// Runs once in every new realm, before any script: presets the script's
// globals, gives it a console, and returns the functions the worker calls.
// `harden` is there for a realm that is kept (see harden.js).
// Everything it needs is captured here, so that a script which patches a
// builtin (possible in a fresh realm only) can't change how it is judged.
(function (harden, emit) {
  'use strict';
  const { parse, stringify } = JSON;
  const { ownKeys, getPrototypeOf, setPrototypeOf, defineProperty, deleteProperty } = Reflect;
  const { get: getThrough, set: setThrough } = Reflect;
  const { create, freeze, isExtensible } = Object;
  const { isArray } = Array;
  const text = String;
  const global = globalThis;
  const globalPrototype = getPrototypeOf(global);
  const uncurry = Function.prototype.bind.bind(Function.prototype.call);
  const slice = uncurry(String.prototype.slice);
  const lower = uncurry(String.prototype.toLowerCase);
  const codeAt = uncurry(String.prototype.charCodeAt);
  const includes = uncurry(Array.prototype.includes);
  const wellFormed = uncurry(String.prototype.toWellFormed);
  const errorText = uncurry(Error.prototype.toString);
  const isError = Error.isError ?? ((value) => value instanceof Error);

  // What could run after the call that made it, or be shared between threads.
  for (const name of ['FinalizationRegistry', 'WeakRef', 'Atomics', 'SharedArrayBuffer', 'performance', 'gc']) {
    deleteProperty(global, name);
  }
  // Engine switches that a frozen Error would still let a script flip.
  deleteProperty(Error, 'prepareStackTrace');
  deleteProperty(Error, 'stackTraceLimit');

  // ---- console ----
  let room = 0;
  const show = (value) => {
    if (typeof value === 'string') return value;
    if (typeof value !== 'object' || value === null) return text(value);
    if (isError(value)) return errorText(value);
    try {
      const json = stringify(value);
      return json === undefined ? text(value) : json;
    } catch {
      return '[object that is not JSON]';
    }
  };
  const writer = (level) => (...values) => {
    if (room < 0) return;
    let line = '';
    for (let i = 0; i < values.length; i++) {
      line += (i === 0 ? '' : ' ') + show(values[i]);
    }
    if (line.length > room) {
      line = slice(line, 0, room);
      room = -1;
    } else {
      room -= line.length + 8;
    }
    emit(level, wellFormed(line), room < 0);
  };
  const console = { debug: writer(0), log: writer(1), info: writer(1), warn: writer(2), error: writer(3) };
  defineProperty(global, 'console', { value: console, writable: true, configurable: true, enumerable: false });

  // ---- Kubernetes objects ----
  // CSF's scripts know their members by the names of Go's fields: `pod.Spec.NodeName`,
  // `pod.Name`. Those differ from JSON's in their case, but for a few. They are looked up
  // through the prototype, when they are asked for, so that they are in no JSON, in no loop,
  // and cost nothing where nobody asks.
  // Members whose own members are data and no fields.
  const maps = ['annotations', 'binaryData', 'data', 'labels', 'limits', 'matchLabels', 'nodeSelector', 'requests', 'stringData'];
  // Fields of Go's that JSON spells within the object itself.
  const inlined = ['EphemeralContainerCommon', 'Handler', 'LocalObjectReference', 'ProbeHandler', 'TypeMeta', 'VolumeSource'];
  const isObject = (value) => typeof value === 'object' && value !== null;
  const keyOf = (object, name) => {
    const wanted = name === 'ObjectMeta' || name === 'ListMeta' ? 'metadata' : lower(name);
    const keys = ownKeys(object);
    for (let i = 0; i < keys.length; i++) {
      if (typeof keys[i] === 'string' && lower(keys[i]) === wanted) return keys[i];
    }
    return undefined;
  };
  // The object and its member that a name of Go's means; the metadata's are promoted.
  const fieldOf = (object, name) => {
    if (typeof name !== 'string' || !isObject(object)) return undefined;
    const first = codeAt(name, 0);
    if (!(first >= 65 && first <= 90)) return undefined;
    const key = keyOf(object, name);
    if (key !== undefined) return [object, key];
    const metadata = object.metadata;
    const promoted = isObject(metadata) ? keyOf(metadata, name) : undefined;
    return promoted === undefined ? undefined : [metadata, promoted];
  };
  const goNames = new Proxy(freeze(create(Object.prototype)), freeze({
    get(target, name, receiver) {
      const field = fieldOf(receiver, name);
      if (field !== undefined) return field[0][field[1]];
      return includes(inlined, name) ? receiver : getThrough(target, name, receiver);
    },
    set(target, name, value, receiver) {
      const field = fieldOf(receiver, name);
      if (field === undefined) return setThrough(target, name, value, receiver);
      field[0][field[1]] = value;
      return true;
    },
  }));
  const dress = (value) => {
    if (!isArray(value)) setPrototypeOf(value, goNames);
    const keys = ownKeys(value);
    for (let i = 0; i < keys.length; i++) {
      const member = value[keys[i]];
      if (isObject(member) && !includes(maps, keys[i])) dress(member);
    }
  };
  // An object of Kubernetes' among an event's members says so itself.
  const isKubernetes = (value) => isObject(value) && typeof value.apiVersion === 'string'
    && typeof value.kind === 'string' && isObject(value.metadata);
  const parseEvent = (text) => {
    const value = parse(text);
    if (!isObject(value)) return value;
    const keys = ownKeys(value);
    for (let i = 0; i < keys.length; i++) {
      if (isKubernetes(value[keys[i]])) dress(value[keys[i]]);
    }
    return value;
  };

  // ---- the script's globals ----
  // `event` and `actionData` are parsed only when read.
  let eventText, event, eventPending, original, watched;
  let dataText, actionData, dataPending;
  let nextAction, err, result;
  const preset = (name, get, set) =>
    defineProperty(global, name, { get, set, enumerable: true, configurable: harden === undefined });
  preset('event', () => {
    if (eventPending) {
      eventPending = false;
      original = event = parseEvent(eventText);
    }
    return event;
  }, (value) => { eventPending = false; event = value; });
  preset('actionData', () => {
    if (dataPending) {
      dataPending = false;
      actionData = dataText === undefined ? {} : parse(dataText);
    }
    return actionData;
  }, (value) => { dataPending = false; actionData = value; });
  preset('nextAction', () => nextAction, (value) => { nextAction = value; });
  preset('err', () => err, (value) => { err = value; });
  preset('result', () => result, (value) => { result = value; });

  // ---- lists ----
  // A global of one call only: it is there where the call brings lists, its getter keeps what
  // it gives, and the sweep removes both. Without a prototype no key is found that was not put.
  const readLists = (listsText) => {
    const lists = parse(listsText);
    setPrototypeOf(lists, null);
    const names = ownKeys(lists);
    for (let i = 0; i < names.length; i++) setPrototypeOf(lists[names[i]], null);
    const open = [lists];
    for (let at = 0; at < open.length; at++) {
      const thing = freeze(open[at]);
      const keys = ownKeys(thing);
      for (let i = 0; i < keys.length; i++) {
        const value = thing[keys[i]];
        if (typeof value === 'object' && value !== null) open[open.length] = value;
      }
    }
    return lists;
  };
  const giveLists = (listsText) => {
    let lists;
    const get = () => (lists ??= readLists(listsText));
    defineProperty(global, 'lists', { get, enumerable: true, configurable: true });
  };

  // `mayWrite`: whether the event can have changed when the script has ended.
  const begin = (newEvent, newData, logRoom, mayWrite, lists) => {
    room = logRoom;
    watched = mayWrite;
    eventText = newEvent;
    eventPending = true;
    event = original = undefined;
    dataText = newData;
    dataPending = true;
    actionData = undefined;
    nextAction = err = '';
    result = undefined;
    if (lists !== undefined) giveLists(lists);
  };

  // ---- the verdict ----
  // [0] stop, [1, action, data] next, [2, text] refused by the script itself;
  // index 3 is the event's new text where the script changed it.
  const changedEvent = () => {
    if (!watched || original === undefined) return undefined;
    const now = stringify(original);
    // The text that came in need not be spelt as JSON.stringify spells it.
    return now === eventText || now === stringify(parse(eventText)) ? undefined : now;
  };
  // `own` are the script's bindings; one that is still as it was preset falls
  // back to the global of that name, which `this.nextAction = …` sets.
  const settle = (own) => {
    let action = own[0], failure = own[1], data = own[2];
    if (failure === undefined || failure === '') failure = err;
    failure = text(failure);
    if (failure !== '') return [2, wellFormed(slice(failure, 0, 4096))];
    if (action === undefined || action === '') action = nextAction;
    action = action ? text(action) : '';
    if (action === '') return [0, undefined, undefined, changedEvent()];
    if (data === undefined) data = result;
    if (data === undefined || data === null) data = {};
    if (typeof data !== 'object' || isArray(data)) return [2, "'result' is not an object"];
    const json = stringify(data);
    if (json === undefined || json[0] !== '{') return [2, "'result' is not an object"];
    return [1, wellFormed(action), json, changedEvent()];
  };

  // ---- what a kept realm needs besides ----
  const own = (body, newEvent, newData, logRoom, mayWrite, lists) => {
    begin(newEvent, newData, logRoom, mayWrite, lists);
    return settle(body());
  };
  const describe = (thrown) => {
    let message;
    try {
      message = text(thrown);
    } catch {
      message = 'an exception that cannot be shown';
    }
    let stack;
    try {
      stack = isError(thrown) ? text(thrown.stack) : undefined;
    } catch {
      stack = undefined;
    }
    return [wellFormed(slice(message, 0, 4096)), stack === undefined ? undefined : wellFormed(slice(stack, 0, 4096))];
  };

  let known;
  // Removes what the last call left behind. `count` is the number of the
  // global's keys now. False: the realm must be dropped.
  const sweep = (count) => {
    begin(undefined, undefined, -1, false);
    if (count !== known.size) {
      const keys = ownKeys(global);
      for (let i = 0; i < keys.length; i++) {
        if (!known.has(keys[i]) && !deleteProperty(global, keys[i])) return false;
      }
    }
    return isExtensible(global) && getPrototypeOf(global) === globalPrototype;
  };

  if (harden !== undefined) known = harden();
  return [harden === undefined ? begin : own, settle, describe, sweep];
})
