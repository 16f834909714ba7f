import { beforeEach, describe, expect, it } from 'vitest'
import type { TaskResult, Task } from '../../src/codecs/pool/evaluation-scheduler.ts'
import { Evaluator } from '../../src/codecs/cel/evaluator.ts'
import type { RawEnvelope } from '../../src/domain/entities.ts'
import type { DeviceLookup } from './device-directory.ts'
import { RawEnvelopeProcessor } from './raw-envelope-processor.ts'
import { celCodec } from '../../test/rig/adapters/cel-codec.ts'

const RAW: RawEnvelope = {
  organizationId: 'organization',
  endDeviceId: 'device',
  payload: Uint8Array.from(Buffer.from('006700FF01688202732795', 'hex')),
  receivedAt: 1_700_000_000_123_456n,
}
const KNOWN: DeviceLookup = {
  kind: 'known',
  organizationId: 'organization',
  codec: celCodec('cayenne_lpp_decode(input)'),
}
const SIGNAL = new AbortController().signal

let device: DeviceLookup
let now: bigint
let answer: TaskResult | undefined
let tasks: Task[]
let withoutExpression: string[]
let released: number[]
let processor: RawEnvelopeProcessor

beforeEach(() => {
  const evaluator = new Evaluator()
  device = KNOWN
  now = 1_800_000_000_000_000n
  answer = undefined
  tasks = []
  withoutExpression = []
  released = []
  processor = new RawEnvelopeProcessor({
    lookUp: async () => device,
    evaluate: async (task) => {
      tasks.push(task)
      return answer ?? evaluator.evaluate(task.codec.source, task.payload, task.context)
    },
    release: (dataBytes) => released.push(dataBytes),
    now: () => now,
    onDeviceWithoutExpression: (id) => withoutExpression.push(id),
  })
})

function process(raw: Partial<RawEnvelope> = {}) {
  return processor.process({ ...RAW, ...raw }, SIGNAL)
}

describe('P-1: conversion of a raw envelope', () => {
  it('names the profile of a codec that fails', async () => {
    device = { ...KNOWN, profile: { id: 'p1', name: 'Model A' } }
    expect(await process({ payload: Uint8Array.of(0, 200) })).toMatchObject({
      kind: 'dead_letter',
      reason: expect.stringMatching(
        /^payload conversion of device device by profile p1 \(Model A\): line 1, column 1: Cayenne LPP: /,
      ),
    })
  })

  it('keeps the ids, uses the receipt as occurred_at and adds processed_at', async () => {
    expect(await process()).toEqual({
      kind: 'processed',
      envelopes: [
        {
          organizationId: 'organization',
          endDeviceId: 'device',
          occurredAt: 1_700_000_000_123_456n,
          processedAt: 1_800_000_000_000_000n,
          data: { temperature_0: 25.5, humidity_1: 65, barometer_2: 1013.3 },
        },
      ],
      isList: false,
      processedAt: 1_800_000_000_000_000n,
      dataBytes: expect.any(Number),
    })
    expect(tasks).toEqual([
      {
        organizationId: 'organization',
        codec: celCodec('cayenne_lpp_decode(input)'),
        payload: RAW.payload,
        context: RAW,
      },
    ])
  })

  it('gives the properties of the uplink to the expression, and keeps them', async () => {
    const uplink = { fPort: 2, fCnt: 7, metadata: { rssi: -113 } }
    device = { ...KNOWN, codec: celCodec('{"port": f_port, "rssi": metadata.rssi, "at": received_at}') }
    expect(await process({ uplink })).toMatchObject({
      envelopes: [{ data: { port: 2, rssi: -113, at: '2023-11-14T22:13:20.123456Z' }, uplink }],
    })
  })

  it('accepts an empty payload', async () => {
    expect(await process({ payload: new Uint8Array() })).toMatchObject({ kind: 'processed', envelopes: [{ data: {} }] })
  })

  it('rejects an envelope of another organization than its device', async () => {
    expect(await process({ organizationId: 'another' })).toEqual({
      kind: 'dead_letter',
      cause: 'wrong_organization',
      reason:
        'device device belongs to organization organization, but the envelope names another; check the topic it was published on',
    })
    expect(tasks).toEqual([])
  })
})

describe('the readings of a payload', () => {
  it('are a processed envelope each, with the time of the reading and of the receipt, and all properties', async () => {
    const uplink = { fPort: 2, metadata: { rssi: -113 } }
    device = { ...KNOWN, codec: celCodec('[0, 60].map(age, {"age_s": age, "data": {"n": age}})') }
    const common = { organizationId: 'organization', endDeviceId: 'device', processedAt: now, uplink }
    expect(await process({ uplink })).toEqual({
      kind: 'processed',
      envelopes: [
        { ...common, occurredAt: 1_700_000_000_123_456n, data: { n: 0 } },
        { ...common, occurredAt: 1_699_999_940_123_456n, receivedAt: 1_700_000_000_123_456n, data: { n: 60 } },
      ],
      isList: true,
      processedAt: now,
      dataBytes: expect.any(Number),
    })
    expect(released).toEqual([])
  })

  it('can be none', async () => {
    device = { ...KNOWN, codec: celCodec('[]') }
    expect(await process()).toMatchObject({ kind: 'processed', envelopes: [], isList: true })
  })

  it('make a dead letter with the index of an invalid one, and their data is released', async () => {
    answer = { ok: true, data: [{ data: {} }, { data: {}, time: 'noon' }], size: 12 }
    expect(await process()).toEqual({
      kind: 'dead_letter',
      cause: 'expression',
      reason: 'payload conversion of device device: reading 1: time is not RFC 3339: "noon"',
    })
    expect(released).toEqual([12])
  })

  it('have the warnings of the codec', async () => {
    answer = { ok: true, data: [{ data: {} }, { data: {} }], warnings: ['low battery'], size: 12 }
    const warnings = ['low battery']
    expect(await process()).toMatchObject({ envelopes: [{ warnings }, { warnings }] })
  })
})

describe('P-4: failed evaluations', () => {
  it('an invalid expression makes a dead letter with reason and device', async () => {
    device = { ...KNOWN, codec: celCodec('{"a": nothing}') }
    expect(await process()).toEqual({
      kind: 'dead_letter',
      cause: 'expression',
      reason:
        'payload conversion of device device: line 1, column 7: unknown variable "nothing"; the payload is "input"',
    })
  })

  it('an invalid payload makes a dead letter with reason and device', async () => {
    expect(await process({ payload: Uint8Array.of(0, 0x67, 1) })).toMatchObject({
      kind: 'dead_letter',
      cause: 'expression',
      reason: expect.stringContaining('temperature at byte 0 needs 2 bytes of data, got 1'),
    })
  })

  it('a quarantined expression makes a dead letter with reason and device', async () => {
    answer = { ok: false, reason: 'quarantined' }
    expect(await process()).toMatchObject({ kind: 'dead_letter', cause: 'expression' })
  })

  it('B-3: an evaluation beyond the share of its organization is deferred', async () => {
    answer = { ok: false, deferred: true }
    expect(await process()).toEqual({ kind: 'deferred' })
  })
})

describe('P-7: unknown devices', () => {
  it.each<[string, DeviceLookup, string]>([
    ['device', { kind: 'unknown_device' }, 'device device does not exist; create it and replay'],
    [
      'organization',
      { kind: 'unknown_organization', organizationId: 'missing' },
      'organization missing of device device does not exist or is deleted',
    ],
  ])(
    'an envelope of an unknown %s is not processed, and the reason says what is missing',
    async (what, lookup, reason) => {
      device = lookup
      const unknown = { kind: 'unknown', cause: `unknown_${what}`, organizationId: 'organization', reason }
      expect(await process()).toEqual(unknown)
    },
  )

  it('an envelope of a device without an expression becomes a dead letter, which is logged once per device', async () => {
    device = { ...KNOWN, codec: null }
    expect(await process()).toEqual({
      kind: 'dead_letter',
      cause: 'no_expression',
      reason: 'device device has no payload conversion and no profile; set one (UpdateEndDevice) and replay',
    })
    await process()
    await process({ endDeviceId: 'another' })
    expect(withoutExpression).toEqual(['device', 'another'])
  })

  it('a device without an expression is logged again if it had an expression in the meantime', async () => {
    device = { ...KNOWN, codec: null }
    await process()
    device = KNOWN
    await process()
    device = { ...KNOWN, codec: null }
    await process()
    expect(withoutExpression).toEqual(['device', 'device'])
  })
})
