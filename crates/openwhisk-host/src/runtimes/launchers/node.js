// Starts a JavaScript action and hands it one call after the other.
//
// Lines of JSON over descriptor 3, which is a socket: `{"init": …}` once, then one line per
// call; one line of answer to each. `{"ready": …}` before it asks whether Node is up. A line that begins with `!` says that the action failed in
// a way for which OpenWhisk has no result of its own ("action developer error"). What the
// action logs is written before the answer is, so the host finds it complete.
'use strict';

const fs = require('fs');
const net = require('net');
const path = require('path');
const vm = require('vm');
const { createRequire } = require('module');
const { pathToFileURL } = require('url');

const host = new net.Socket({ fd: 3, readable: true, writable: true });
let entry;
let stopped = false;

// The part before the last dot names a file of the archive.
function split(main) {
  const dot = main.lastIndexOf('.');
  return dot < 0 ? [undefined, main] : [main.slice(0, dot), main.slice(dot + 1)];
}

async function load(file) {
  try {
    return require(file);
  } catch (error) {
    if (error.code !== 'ERR_REQUIRE_ESM') throw error;
    return import(pathToFileURL(require.resolve(file)));
  }
}

async function fromArchive(dir, main) {
  const [file, name] = split(main);
  process.chdir(dir);
  if (file === undefined && !['package.json', 'index.js'].some((file) => fs.existsSync(file))) {
    throw 'Zipped actions must contain either package.json or index.js at the root.';
  }
  const loaded = await load(file === undefined ? dir : path.join(dir, file));
  return loaded[name] ?? loaded.default?.[name];
}

// The entry point is looked up where the text was evaluated: it need not be exported.
function fromText(text, main) {
  const module = { exports: {} };
  const names = ['require', 'module', 'exports', '__filename', '__dirname'];
  const evaluate = vm.compileFunction(`${text}\nreturn (name) => eval(name);`, names, {
    filename: 'action.js',
    importModuleDynamically: vm.constants?.USE_MAIN_CONTEXT_DEFAULT_LOADER,
  });
  const file = path.resolve('action.js');
  const look = evaluate(createRequire(file), module, module.exports, file, path.dirname(file));
  try {
    return look(main);
  } catch (error) {
    if (!(error instanceof ReferenceError)) throw error;
    return module.exports[main];
  }
}

async function init({ main, code, dir, env }) {
  if (entry) throw 'Cannot initialize the action more than once.';
  Object.assign(process.env, env);
  try {
    const found = dir ? await fromArchive(dir, main) : fromText(code, main);
    if (typeof found !== 'function') throw `Action entrypoint '${main}' is not a function.`;
    entry = found;
  } catch (error) {
    const [said, stack] = [String(error), String(error?.stack ?? error)];
    throw `Initialization has failed due to: ${stack.startsWith(said) ? stack : `${said}\n${stack}`}`;
  }
  return { ok: true };
}

// A reason in a form that JSON can hold; errors have no properties of their own.
function reason(error) {
  if (!error) return {};
  if (!(error instanceof Error)) return error;
  return { name: error.name, message: error.message, stack: error.stack, ...error };
}

async function run({ value, ...envelope }) {
  if (stopped) throw 'System not ready, status is stopped.';
  if (!entry) throw 'System not initialized.';
  for (const [key, text] of Object.entries(envelope)) {
    process.env[`__OW_${key.toUpperCase()}`] = text;
  }
  let result;
  try {
    result = entry(value);
  } catch (error) {
    stopped = true;
    console.error(error);
    throw `An error has occurred: ${error}`;
  }
  try {
    result = await result;
  } catch (error) {
    return { error: reason(error) };
  }
  if (result === undefined) return {};
  if (typeof result !== 'object') throw 'The action did not return a dictionary.';
  return result;
}

// What did not fit into the pipe is written when there is room again.
async function flushed(stream) {
  if (stream.writableLength > 0) await new Promise((resolve) => stream.write('', resolve));
}

function respond(request) {
  if (request.ready) return { ok: true };
  return request.init ? init(request.init) : run(request);
}

async function answer(line) {
  let text;
  try {
    const request = JSON.parse(line);
    text = JSON.stringify(await respond(request));
  } catch (fault) {
    const error = fault instanceof Error ? `An error has occurred: ${fault}` : fault;
    text = `!${JSON.stringify({ error })}`;
  }
  await flushed(process.stdout);
  await flushed(process.stderr);
  host.write(`${text}\n`);
}

const pieces = [];
host.on('data', (piece) => {
  const end = piece.indexOf(10);
  pieces.push(piece);
  if (end < 0) return;
  // The host sends nothing beyond a line before it has the answer.
  const line = Buffer.concat(pieces.splice(0)).toString();
  answer(line);
});
host.on('close', () => process.exit());
