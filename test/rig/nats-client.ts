import { once } from 'node:events'
import { Writable } from 'node:stream'
import { randomUUID } from 'node:crypto'
import { connectNats } from '../../src/nats/connection.ts'
import type { NatsClient } from '../../src/nats/connection.ts'
import type { StreamDefinition } from '../../src/nats/streams.ts'
import { createLoggerTo } from '../../src/runner/logger.ts'
import type { Logger } from '../../src/runner/logger.ts'

/** A line of the log as the test reads it. */
export interface LogLine {
  readonly level: string
  readonly msg: string
  readonly [field: string]: unknown
}

/** A logger whose lines the test can read and wait for. */
export interface LogProbe {
  readonly logger: Logger
  readonly lines: readonly LogLine[]
  /** The first line, past or future, whose message contains the text. */
  line(text: string): Promise<LogLine>
  count(text: string): number
}

export function probeLog(): LogProbe {
  const lines: LogLine[] = []
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      const parsed: LogLine = JSON.parse(chunk.toString('utf8'))
      lines.push(parsed)
      sink.emit('line')
      done()
    },
  })
  sink.setMaxListeners(0)
  return {
    logger: createLoggerTo(sink, 'test', 'debug'),
    lines,
    async line(text) {
      for (;;) {
        const found = lines.find((line) => line.msg.includes(text))
        if (found !== undefined) return found
        await once(sink, 'line')
      }
    },
    count: (text) => lines.filter((line) => line.msg.includes(text)).length,
  }
}

export async function connectTo(url: string, logger: Logger = probeLog().logger): Promise<NatsClient> {
  return await connectNats({ url, name: 'test', startupTimeoutMs: 10_000, logger })
}

/** A stream and subject prefix that no other test has. */
export function ownStream(): StreamDefinition & { readonly subject: string } {
  const name = `t${randomUUID().replaceAll('-', '')}`
  return { name, subject: name, subjects: [`${name}.>`] }
}
