// Makes a realm fit to be kept: freezes everything reachable from the global
// object and from the syntax (generators, async functions, iterators), and
// returns the names that belong on the global object.
//
// Inherited data properties that scripts commonly shadow by assignment become
// accessors first, because a frozen one would refuse the assignment on the
// inheriting object too.
(function () {
  'use strict';
  const { ownKeys, getOwnPropertyDescriptor, getPrototypeOf, defineProperty } = Reflect;
  const { freeze } = Object;
  const text = String;
  const global = globalThis;

  const makeShadowable = (prototype, key) => {
    const found = getOwnPropertyDescriptor(prototype, key);
    if (found === undefined || !('value' in found) || !found.configurable || key === Symbol.iterator) return;
    const { value, enumerable } = found;
    const get = () => value;
    const set = {
      set(replacement) {
        if ((typeof this !== 'object' && typeof this !== 'function') || this === null) return;
        if (this === prototype) throw new TypeError(`'${text(key)}' of a builtin cannot be replaced`);
        // On an object that has its own one this setter is never reached.
        defineProperty(this, key, { value: replacement, writable: true, enumerable: true, configurable: true });
      },
    }.set;
    freeze(get);
    freeze(set);
    defineProperty(prototype, key, { get, set, enumerable, configurable: false });
  };

  const seen = new Set();
  const queue = [
    Object.getPrototypeOf(function* () {}), Object.getPrototypeOf(async function () {}),
    Object.getPrototypeOf(async function* () {}), getPrototypeOf([][Symbol.iterator]()),
    getPrototypeOf(''[Symbol.iterator]()), getPrototypeOf(new Map().keys()),
    getPrototypeOf(new Set().keys()), getPrototypeOf(/a/[Symbol.matchAll]('')),
    getPrototypeOf(Int8Array),
  ];
  if (typeof Iterator === 'function') {
    queue.push(getPrototypeOf([].values().map((value) => value)), getPrototypeOf(Iterator.from({ next() {} })));
  }
  for (const key of ownKeys(global)) {
    const found = getOwnPropertyDescriptor(global, key);
    queue.push(found.value, found.get, found.set);
  }
  const prototypes = new Set(queue.slice(0, 8));
  while (queue.length > 0) {
    const thing = queue.pop();
    if ((typeof thing !== 'object' && typeof thing !== 'function') || thing === null) continue;
    if (thing === global || seen.has(thing)) continue;
    seen.add(thing);
    queue.push(getPrototypeOf(thing));
    for (const key of ownKeys(thing)) {
      const found = getOwnPropertyDescriptor(thing, key);
      queue.push(found.value, found.get, found.set);
      if (key === 'prototype' && found.value) prototypes.add(found.value);
    }
  }
  const everywhere = ['constructor', 'toString', 'toLocaleString', 'valueOf', 'toJSON', 'name', 'message', 'then'];
  for (const prototype of prototypes) {
    const whole = prototype === Object.prototype || prototype === Function.prototype;
    for (const key of whole ? ownKeys(prototype) : everywhere) {
      makeShadowable(prototype, key);
    }
  }
  for (const thing of seen) freeze(thing);
  for (const key of ownKeys(global)) {
    const found = getOwnPropertyDescriptor(global, key);
    if ('value' in found) defineProperty(global, key, { writable: false, configurable: false });
  }
  return new Set(ownKeys(global));
})
