import { runClickHouse } from './clickhouse/clickhouse.ts'
import { provideClickHouse } from './clickhouse-installation.ts'
import { provideMqtt, runMqtt } from './mqtt/run-mqtt.ts'
import { provideNats } from './nats/installation.ts'
import { runNats } from './nats/run-nats.ts'
import { providePostgres } from './postgres/installation.ts'
import { runPostgres } from './postgres/run-postgres.ts'
import type { Provisioning } from './provision.ts'
import type { RunServer, ServerName } from './server.ts'

export interface EmbeddedServer {
  /** As people know it. */
  readonly title: string
  readonly defaultPort: number
  readonly defaultMonitoringPort?: number
  /** Finds or installs the program; resolves with the folder it is in. */
  provide(provisioning: Provisioning, dataDir: string): Promise<string>
  readonly run: RunServer
}

export const embeddedServers: Readonly<Record<ServerName, EmbeddedServer>> = {
  postgres: { title: 'PostgreSQL', defaultPort: 15_432, provide: providePostgres, run: runPostgres },
  nats: { title: 'NATS', defaultPort: 14_222, defaultMonitoringPort: 18_222, provide: provideNats, run: runNats },
  clickhouse: {
    title: 'ClickHouse',
    defaultPort: 18_123,
    provide: provideClickHouse,
    run: runClickHouse,
  },
  mqtt: { title: 'MQTT broker', defaultPort: 11_883, provide: provideMqtt, run: runMqtt },
}
