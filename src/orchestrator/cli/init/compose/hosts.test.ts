import { describe, expect, it } from 'vitest'
import { ServiceHosts, type HostService } from './hosts.ts'
import { portsOf, serverPort } from './ports.ts'
import type { Service } from './schema.ts'
import { ComposeVariables } from './variables.ts'

const variables = new ComposeVariables({ PORT: '7000' })

function host(place: HostService['place'], ports: NonNullable<Service['ports']> = [], image = ''): HostService {
  return { aliases: [], place, replicas: 1, ports: portsOf({ ports }, variables), port: serverPort({ image }) }
}

const services = new Map([
  ['api', host('process', ['8080:3000'])],
  ['many', { ...host('process'), replicas: 2 }],
  ['db', { ...host('container', ['5433:5432'], 'postgres:16'), aliases: ['shop_db'] }],
  ['cache', host('container', ['${CACHE_PORT:-6380}:6379', '6000-6002:7000-7002'])],
  ['queue', host('container', [], 'rabbitmq')],
  ['other', host('container', [], 'library/rabbitmq:3')],
  ['kept', host('compose', ['127.0.0.1:9001:9000', '10.0.0.1:9002:9002'])],
  ['hidden', host('compose')],
  ['node', host('process')],
])

describe('the host names of services', () => {
  it.each([
    ['http://api:3000/x', 'http://127.0.0.1:3000/x'],
    ['http://api', 'http://127.0.0.1'],
    ['postgres://u:${P:-a/b}@db:5432/x', 'postgres://u:${P:-a/b}@127.0.0.1:5433/x'],
    ['postgresql://u:p@db/x', 'postgresql://u:p@127.0.0.1:5433/x'],
    ['jdbc:postgresql://db:5432/x', 'jdbc:postgresql://127.0.0.1:5433/x'],
    ['postgres://shop_db:5432', 'postgres://127.0.0.1:5433'],
    ['redis://cache:6379/0', 'redis://127.0.0.1:${CACHE_PORT:-6380}/0'],
    ['${URL:-http://api:3000}', '${URL:-http://127.0.0.1:3000}'],
    ['db:5432', '127.0.0.1:5433'],
    ['api:3000,cache:7001', '127.0.0.1:3000,127.0.0.1:6001'],
    ['--db=db:5432', '--db=127.0.0.1:5433'],
    ['${ADDRESS:-db:5432}', '${ADDRESS:-127.0.0.1:5433}'],
    ['u@tcp(db:5432)/x', 'u@tcp(127.0.0.1:5433)/x'],
    ['http://kept:9000', 'http://127.0.0.1:9001'],
    ['http://kept:9002', 'http://10.0.0.1:9002'],
  ])('in %j become %j', (text, expected) => {
    const { text: result, remaining } = new ServiceHosts(services).rewrite(text)
    expect([result, remaining]).toEqual([expected, []])
  })

  it.each([
    ['db', ['db']],
    ['http://many:80', ['many']],
    ['http://hidden:80', ['hidden']],
    ['http://kept:1234', ['kept']],
    ['other://db/x', ['db']],
    ['host=db port=5432', ['db']],
    ['psql -h x db:5432', ['db']],
    ['db:${DB_PORT}', ['db']],
    ['node:22', ['node']],
    ['http://api.example.com', []],
    ['http://my-api:3000', []],
    ['/data/db', []],
    ['database', []],
    ['dbs:5432', []],
  ])('in %j stay, and %j are named', (text, remaining) => {
    expect(new ServiceHosts(services).rewrite(text)).toEqual({ text, changes: [], remaining })
  })

  it('publish the ports of containers that nothing publishes, each on a free port', () => {
    const hosts = new ServiceHosts(services)
    const { text, changes } = hosts.rewrite('amqp://queue,amqp://other:5672,amqp://queue:5672')
    expect(text).toBe('amqp://127.0.0.1,amqp://127.0.0.1:5673,amqp://127.0.0.1:5672')
    expect(changes).toEqual([
      'queue became 127.0.0.1',
      'other:5672 became 127.0.0.1:5673',
      'queue:5672 became 127.0.0.1:5672',
    ])
    expect([hosts.addedPorts('queue'), hosts.addedPorts('other')]).toEqual([
      ['127.0.0.1:5672:5672'],
      ['127.0.0.1:5673:5672'],
    ])
  })

  it.each([
    ['api', 'write 127.0.0.1'],
    ['db', 'write 127.0.0.1 and the port 5433'],
    ['cache', 'write 127.0.0.1, and publish its port with "-p"'],
    ['hidden', 'write 127.0.0.1, and publish its port with "ports"'],
  ])('alone are explained: %s', (name, advice) => {
    expect(new ServiceHosts(services).advice(name)).toBe(
      `${name} is the name of a service; if it is a host here, ${advice}`,
    )
  })
})

describe('ports', () => {
  const mapping = (target: number, published: string | null, address = '127.0.0.1') => ({ target, published, address })
  it.each([
    [80, '80', [mapping(80, null)]],
    ['8080:80', '8080:80', [mapping(80, '8080')]],
    ['127.0.0.1:8080:80/tcp', '127.0.0.1:8080:80/tcp', [mapping(80, '8080')]],
    ['0.0.0.0:8080:80', '0.0.0.0:8080:80', [mapping(80, '8080')]],
    ['10.1.1.1:8080:80', '10.1.1.1:8080:80', [mapping(80, '8080', '10.1.1.1')]],
    ['127.0.0.1::80', '127.0.0.1::80', [mapping(80, null)]],
    ['53:53/udp', '53:53/udp', []],
    ['80-81:90-91', '80-81:90-91', [mapping(90, '80'), mapping(91, '81')]],
    ['${A:-1}:${PORT}', '${A:-1}:${PORT}', [mapping(7000, '${A:-1}')]],
    [{ target: 80, published: 8080, host_ip: '127.0.0.1' }, '127.0.0.1:8080:80', [mapping(80, '8080')]],
    [{ target: 80 }, '80', [mapping(80, null)]],
    ['many', 'many', []],
  ])('%j are published as %j', (port, text, mappings) => {
    expect(portsOf({ ports: [port] }, variables)).toEqual([{ text, mappings }])
  })
})
