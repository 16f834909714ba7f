import { describe, expect, it } from 'vitest'
import type { LoadOptions } from '../load.ts'
import { load, one, problems, store } from '../../../../test/rig/configuration/config.ts'

describe('the MQTT broker (O-30)', () => {
  const broker = (file: object, options: Partial<LoadOptions> = {}) =>
    load({ processes: { store }, ...file }, options).external
  const given = { mqtt_broker: 'there:1' }

  it('is the address of the command line or of the file, in this order; without both there is none (O-5)', () => {
    expect(broker({})).toBeNull()
    expect(broker(given)).toMatchObject({ host: 'there', port: 1, required: true })
    expect(broker({ mqtt_broker: '[::1]:1884' })).toMatchObject({ host: '::1', port: 1884, required: true })
    expect(broker(given, { mqttBroker: { host: 'b', port: 2 } })).toMatchObject({ host: 'b', port: 2 })
  })

  const named = 'commonplace-store'
  it.each([
    ['a reference in its args', { args: ['--broker=${mqtt_broker}'] }, true],
    ['a reference in its env', { env: { B: 'mqtt://${mqtt_broker}' } }, true],
    ['a reference in its cwd', { cwd: '${mqtt_broker}' }, true],
    ['the key uses', { uses: 'mqtt_broker' }, true],
    ['a command named commonplace-*', { command: `/opt/bin/${named}` }, true],
    ['another command', { command: `my-${named}` }, false],
    ['a shell line', { command: `${named} -v`, shell: true }, false],
    ['an escaped reference', { args: ['$${mqtt_broker}'] }, false],
    ['nothing', {}, false],
  ])('is used by a process with %s, which alone has MQTT_BROKER: %j', (_, process, isUser) => {
    const { processes } = load({ ...given, processes: { a: { ...store, ...process }, b: store } })
    expect(processes.map(({ usesExternal }) => usesExternal)).toEqual([isUser, false])
    expect(processes.map(({ env }) => env['MQTT_BROKER'])).toEqual([isUser ? 'there:1' : undefined, undefined])
  })

  it('is not used through the env of the file', () => {
    const file = { ...given, env: { URL: 'mqtt://${mqtt_broker}' }, processes: { store } }
    expect(load(file).processes).toMatchObject([{ usesExternal: false, env: { URL: 'mqtt://there:1' } }])
  })

  it('is passed once to commands named commonplace-*', () => {
    const options = { mqttBroker: { host: '::1', port: 7 } }
    expect(one({ command: named, args: ['-v'] }, options).args).toEqual(['-v', '--mqtt-broker', '[::1]:7'])
    expect(one({ command: named, args: ['--mqtt-broker=b:1'] }, options).args).toEqual(['--mqtt-broker=b:1'])
  })

  it('is not required by a command named commonplace-*', () => {
    expect(one({ command: named })).toMatchObject({ args: [], usesExternal: false })
  })

  it('leaves an inherited MQTT_BROKER to the processes that do not use it', () => {
    const options = { environment: { MQTT_BROKER: 'inherited:1' } }
    expect(one({}, options, given).env['MQTT_BROKER']).toBe('inherited:1')
    expect(one({ uses: 'mqtt_broker' }, options, given).env['MQTT_BROKER']).toBe('there:1')
  })

  it('is in MQTT_BROKER unless the file sets this variable, also in the args', () => {
    expect(one({ uses: 'mqtt_broker', args: ['${MQTT_BROKER}'] }, {}, given).args).toEqual(['there:1'])
    expect(one({ uses: 'mqtt_broker', env: { MQTT_BROKER: 'own:1' } }, {}, given).env['MQTT_BROKER']).toBe('own:1')
  })

  it('that is not set is an error of each use (O-20)', () => {
    const how = 'add "mqtt_broker": "host:port" to the file, or use --mqtt-broker host:port'
    const a = { ...store, args: ['${mqtt_broker}'], uses: 'mqtt_broker' }
    expect(problems({ env: { URL: '${mqtt_broker}' }, processes: { a } })).toEqual([
      `env.URL: \${mqtt_broker} is not set; ${how}`,
      `processes.a.args[0]: \${mqtt_broker} is not set; ${how}`,
      `processes.a.uses: no address is set; ${how}`,
    ])
    expect(one({ args: ['${mqtt_broker:-localhost:1883}'] })).toMatchObject({ args: ['localhost:1883'] })
    expect(problems({ processes: { b: { ...store, provides: 'mqtt_broker' } } })).toEqual([
      'processes.b.provides: has no effect without "mqtt_broker", the address at which this process listens',
    ])
  })

  it('that is invalid is one error, not also an error of each use (O-20)', () => {
    const user = { ...store, args: ['${mqtt_broker}'] }
    expect(problems({ mqtt_broker: 7, processes: { user } })).toEqual(['mqtt_broker: expected host:port, got 7'])
    expect(problems({ mqtt_broker: '${NOPE}', processes: { user } })).toHaveLength(1)
  })

  it('can be a process, on which its users depend', () => {
    const config = load({
      ...given,
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
      ...given,
      processes: { broker: { ...store, provides: 'mqtt_broker' }, user: { ...store, args: ['${mqtt_broker}'] } },
    }
    const config = load(file, { disable: ['broker'] })
    expect(config.external?.providedBy).toBeNull()
    expect(config.processes[0]?.dependsOn).toEqual([])
  })

  it('is not checked if it has no users and the process that provides it does not run', () => {
    const file = { mqtt_broker: 'a:1', processes: { broker: { ...store, provides: 'mqtt_broker' }, user: store } }
    expect(load(file, {}).external?.required).toBe(true)
    expect(load(file, { only: ['user'] }).external?.required).toBe(false)
    expect(load(file, { only: ['user'], mqttBroker: { host: 'b', port: 2 } }).external?.required).toBe(true)
    const processes = { ...file.processes, user: { ...store, args: ['${mqtt_broker}'] } }
    expect(load({ ...file, processes }, { disable: ['broker'] }).external?.required).toBe(true)
  })

  it('is interpolated, with one line for an error (O-20)', () => {
    const file = { mqtt_broker: '127.0.0.1:${PORT:-11883}', processes: { store } }
    expect(load(file).external?.port).toBe(11_883)
    expect(load(file, { environment: { PORT: '7' } }).external?.port).toBe(7)
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
    expect(problems({ ...given, processes: { broker: { ...provides, depends_on: ['db'] }, db: user } })).toEqual([
      'processes.broker.provides: process "broker" is the MQTT broker and depends on a process that uses the broker: broker → db → broker',
    ])
    expect(problems({ ...given, processes: { a: provides, b: provides } })).toEqual([
      'processes.b.provides: process "a" already provides the MQTT broker',
    ])
  })
})
