// What programs do with the npm client `openwhisk`, against a host whose runtimes echo.
// Ends with an exit code other than 0 where an answer is not what such programs expect.
'use strict'

const assert = require('assert').strict
const openwhisk = require('openwhisk')

const ow = openwhisk({ apihost: process.env.HOST, api_key: process.env.KEY })
const code = 'function main(args) { return args }'

async function refused (promise, status, text) {
  const error = await promise.then(() => assert.fail('no refusal'), error => error)
  assert.equal(error.name, 'OpenWhiskError', error.message)
  assert.equal(error.statusCode, status)
  if (text) assert.ok(error.message.includes(text), error.message)
}

async function actions () {
  const made = await ow.actions.create({
    name: 'hello', action: code, params: { a: 1 }, annotations: { note: 'x' }, limits: { timeout: 1000 }
  })
  assert.deepEqual(made.parameters, [{ key: 'a', value: 1 }])
  assert.equal(made.exec.kind, 'nodejs:20')
  assert.equal(made.limits.timeout, 1000)
  await refused(ow.actions.create({ name: 'hello', action: code }), 409, 'resource already exists')
  const zip = Buffer.from('PK not really a zip')
  const packed = await ow.actions.update({ name: 'packed', action: zip })
  assert.equal(packed.exec.code, zip.toString('base64'))
  const got = await ow.actions.get('hello')
  assert.equal(got.exec.code, code)
  assert.deepEqual((await ow.actions.list({ limit: 1 })).length, 1)
  assert.deepEqual(await ow.actions.list({ count: true }), { actions: 2 })
  const accepted = await ow.actions.invoke('hello')
  assert.match(accepted.activationId, /^[0-9a-f]{32}$/)
  const whole = await ow.actions.invoke({ name: 'hello', blocking: true, params: { b: 2 } })
  assert.deepEqual(whole.response.result, { a: 1, b: 2 })
  const bare = await ow.actions.invoke({ name: 'hello', blocking: true, result: true, params: { b: 3 } })
  assert.deepEqual(bare, { a: 1, b: 3 })
  await ow.actions.create({ name: 'fails', action: code })
  await refused(ow.actions.invoke({ name: 'fails', blocking: true }), 502, 'no')
  await refused(ow.actions.get('none'), 404, 'The requested resource does not exist.')
  const sequence = await ow.actions.create({ name: 'both', sequence: ['/_/hello', '/whisk.system/utils/echo'] })
  assert.equal(sequence.exec.kind, 'sequence')
  const result = await ow.actions.invoke({ name: 'both', blocking: true, result: true, params: { c: 1 } })
  assert.deepEqual(result, { a: 1, c: 1 })
  await ow.actions.delete('packed')
}

async function packages () {
  await ow.packages.create({ name: 'box', package: { parameters: [{ key: 'p', value: 1 }] } })
  await ow.actions.create({ name: 'box/in', action: code })
  const box = await ow.packages.get('box')
  assert.deepEqual(box.actions.map(action => action.name), ['in'])
  await ow.packages.update({ name: 'bound', package: { binding: { namespace: '_', name: 'box' } } })
  const ran = await ow.actions.invoke({ name: 'bound/in', blocking: true, result: true })
  assert.deepEqual(ran, { p: 1 })
  const names = (await ow.packages.list()).map(one => one.name).sort()
  assert.deepEqual(names, ['bound', 'box'])
  await refused(ow.packages.delete('box'), 409, 'Package not empty')
  await ow.actions.delete('box/in')
  await ow.packages.delete('bound')
  await ow.packages.delete('box')
}

async function triggers () {
  await ow.triggers.create({ name: 'bell', trigger: { parameters: [{ key: 't', value: 1 }] } })
  assert.equal((await ow.triggers.invoke({ name: 'bell' })).activationId, undefined)
  const rule = await ow.rules.create({ name: 'rings', trigger: 'bell', action: 'hello' })
  assert.equal(rule.status, 'active')
  assert.equal((await ow.rules.get('rings')).status, 'active')
  const fired = await ow.triggers.invoke({ name: 'bell', params: { x: 2 } })
  const record = await recorded(fired.activationId)
  const line = JSON.parse(record.logs[0])
  const ran = await recorded(line.activationId)
  assert.equal(ran.response.result.x, 2)
  assert.equal(ran.response.result.t, 1)
  await ow.rules.disable({ name: 'rings' })
  assert.equal((await ow.rules.get('rings')).status, 'inactive')
  await ow.rules.enable({ name: 'rings' })
  assert.equal((await ow.rules.list()).length, 1)
  const feed = { name: '/whisk.system/alarms/interval', trigger: 'bell' }
  await ow.feeds.create({ ...feed, params: { minutes: 60 } })
  const read = await ow.feeds.get(feed)
  assert.equal(read.response.result.config.minutes, 60)
  await ow.feeds.update({ ...feed, params: { minutes: 30 } })
  await ow.feeds.delete(feed)
  await ow.rules.delete('rings')
  await ow.triggers.delete('bell')
}

async function recorded (id) {
  for (let tries = 0; tries < 1000; tries++) {
    try {
      return await ow.activations.get(id)
    } catch (error) {
      assert.equal(error.statusCode, 404)
    }
  }
  assert.fail(`activation ${id} is not recorded`)
}

async function activations () {
  await ow.actions.create({ name: 'logs', action: code })
  const ran = await ow.actions.invoke({ name: 'logs', blocking: true })
  const list = await ow.activations.list({ name: 'logs' })
  assert.deepEqual(list.map(one => one.activationId), [ran.activationId])
  const { logs } = await ow.activations.logs(ran.activationId)
  assert.ok(logs[0].endsWith('stdout: hello'))
  const result = await ow.activations.result(ran.activationId)
  assert.equal(result.success, true)
  assert.ok((await ow.activations.list({ docs: true, limit: 2 }))[0].response)
}

async function routes () {
  const made = await ow.routes.create({ relpath: '/hi', basepath: '/club', operation: 'GET', action: 'hello' })
  assert.ok(made.gwApiUrl.endsWith('/club'), made.gwApiUrl)
  const { apis } = await ow.routes.list()
  assert.equal(apis[0].value.apidoc.basePath, '/club')
  assert.equal((await ow.routes.get({ basepath: '/club' })).apis.length, 1)
  await ow.routes.delete({ basepath: '/club' })
  assert.deepEqual(await ow.routes.list(), { apis: [] })
}

async function namespaces () {
  assert.deepEqual(await ow.namespaces.list(), ['guest'])
  const all = await ow.namespaces.get('guest')
  assert.ok(all.actions.length > 0)
  const stranger = openwhisk({ apihost: process.env.HOST, api_key: 'a:b' })
  await refused(stranger.namespaces.list(), 401, 'The supplied authentication is invalid')
}

async function main () {
  for (const part of [actions, packages, triggers, activations, routes, namespaces]) {
    await part()
    console.log(`${part.name}: done`)
  }
  console.log('all is as expected')
}

main().catch(error => {
  console.error(error)
  process.exitCode = 1
})
