import { describe, expect, it } from 'vitest'
import type { LoadOptions } from './load.ts'
import { load, one, problems, store } from '../../../test/rig/config.ts'

describe('the MQTT broker (O-30)', () => {
  const broker = (file: object, options: Partial<LoadOptions> = {}) =>
    load({ processes: { store }, ...file }, options).external

  it('is required if the command line or the file sets it, in this order (O-5)', () => {
    expect(broker({})).toMatchObject({ host: 'localhost', port: 1883, required: false })
    expect(broker({ mqtt_broker: 'localhost:1883' })).toMatchObject({ required: true })
    expect(broker({ mqtt_broker: '[::1]:1884' })).toMatchObject({ host: '::1', port: 1884, required: true })
    expect(broker({ mqtt_broker: 'a:1' }, { mqttBroker: { host: 'b', port: 2 } })).toMatchObject({ host: 'b', port: 2 })
  })

  it('is required if an enabled process uses it in its args or env', () => {
    const user = { ...store, args: ['--broker=${mqtt_broker}'] }
    expect(broker({ processes: { a: user } })).toMatchObject({ required: true })
    expect(broker({ processes: { a: store, b: { ...store, env: { B: 'mqtt://${mqtt_broker}' } } } }).required).toBe(
      true,
    )
    expect(broker({ processes: { a: { ...user, disabled: true }, b: store } }).required).toBe(false)
    expect(broker({ processes: { a: { ...store, args: ['$${mqtt_broker}'] } } }).required).toBe(false)
  })

  it('is passed once to commands named commonplace-*', () => {
    const process = one(
      { command: '/opt/bin/commonplace-store', args: ['-v'] },
      { mqttBroker: { host: '::1', port: 7 } },
    )
    expect(process).toMatchObject({ args: ['-v', '--mqtt-broker', '[::1]:7'], usesExternal: true })
    expect(one({ command: 'commonplace-x', args: ['--mqtt-broker=b:1'] }).args).toEqual(['--mqtt-broker=b:1'])
    expect(one({ command: 'my-commonplace-x' }).usesExternal).toBe(false)
  })

  it("is in every child's environment, unless the file overrides it", () => {
    expect(one({}, { environment: { MQTT_BROKER: 'inherited:1' } }).env['MQTT_BROKER']).toBe('localhost:1883')
    expect(one({ env: { MQTT_BROKER: 'own:1' } }).env['MQTT_BROKER']).toBe('own:1')
  })

  it('can be a process, on which its users depend', () => {
    const config = load({
      processes: {
        user: { ...store, args: ['${mqtt_broker}'] },
        broker: { command: 'mosquitto', args: ['${mqtt_broker}'], provides: 'mqtt_broker' },
        other: store,
      },
    })
    expect(config.external).toMatchObject({ required: true, providedBy: 'broker' })
    expect(config.processes.map(({ usesExternal, dependsOn }) => [usesExternal, dependsOn])).toEqual([
      [true, [{ name: 'broker', condition: 'ready' }]],
      [false, []],
      [false, []],
    ])
  })

  it('is not provided by a process that does not run', () => {
    const file = {
      processes: { broker: { ...store, provides: 'mqtt_broker' }, user: { ...store, args: ['${mqtt_broker}'] } },
    }
    const config = load(file, { disable: ['broker'] })
    expect(config.external.providedBy).toBeNull()
    expect(config.processes[0]?.dependsOn).toEqual([])
  })

  it('is not checked if it has no users and the process that provides it does not run', () => {
    const file = { mqtt_broker: 'a:1', processes: { broker: { ...store, provides: 'mqtt_broker' }, user: store } }
    expect(load(file, {}).external.required).toBe(true)
    expect(load(file, { only: ['user'] }).external.required).toBe(false)
    expect(load(file, { only: ['user'], mqttBroker: { host: 'b', port: 2 } }).external.required).toBe(true)
    const processes = { ...file.processes, user: { ...store, args: ['${mqtt_broker}'] } }
    expect(load({ ...file, processes }, { disable: ['broker'] }).external.required).toBe(true)
  })

  it('is interpolated, with one line for an error (O-20)', () => {
    const file = { mqtt_broker: '127.0.0.1:${PORT:-11883}', processes: { store } }
    expect(load(file).external.port).toBe(11_883)
    expect(load(file, { environment: { PORT: '7' } }).external.port).toBe(7)
    expect(problems(file, { environment: { PORT: 'many' } })).toEqual([
      'mqtt_broker: expected host:port with a port from 1 to 65535, such as localhost:1883 or [::1]:1883, got "127.0.0.1:many"',
    ])
    expect(problems({ ...file, mqtt_broker: 'a:${PORT_KEY}' }, { environment: { PORT_KEY: 'x' } })).toEqual([
      expect.stringMatching(/got a value that is not shown because it may be a secret$/),
    ])
    expect(problems({ ...file, mqtt_broker: 'a:${NOPE}' })).toEqual([
      'mqtt_broker: ${NOPE} is not set and has no default; set NOPE, or write ${NOPE:-default}',
    ])
  })

  it('cannot depend on its users, and has at most one provider', () => {
    const provides = { ...store, provides: 'mqtt_broker' }
    const user = { ...store, args: ['${mqtt_broker}'] }
    expect(problems({ processes: { broker: { ...provides, depends_on: ['db'] }, db: user } })).toEqual([
      'processes.broker.provides: process "broker" is the MQTT broker and depends on a process that uses the broker: broker → db → broker',
    ])
    expect(problems({ processes: { a: provides, b: provides } })).toEqual([
      'processes.b.provides: process "a" already provides the MQTT broker',
    ])
  })
})
