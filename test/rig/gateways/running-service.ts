import { type ServiceLine, ServiceProcess } from '../program.ts'

/** An entry of `/gateways`. */
export type GatewayReport = Readonly<Record<string, unknown>>

/** The running program. */
export class RunningService extends ServiceProcess {
  readonly #port: number

  constructor(port: number, environment: Readonly<Record<string, string>>) {
    super('gateway-orchestrator', { ...environment, PONIX_GATEWAY_ORCHESTRATOR_HTTP_PORT: String(port) })
    this.#port = port
  }

  /** Returns the response of `GET /gateways` by gateway id. */
  async gateways(): Promise<Readonly<Record<string, GatewayReport>>> {
    const response = await fetch(`http://127.0.0.1:${this.#port}/gateways`)
    const { gateways }: { gateways: readonly GatewayReport[] } = JSON.parse(await response.text())
    return Object.fromEntries(gateways.map((report) => [String(report['gateway_id']), report]))
  }

  /** Returns the response of `GET /readyz`. */
  async readiness(): Promise<string> {
    return await (await fetch(`http://127.0.0.1:${this.#port}/readyz`)).text()
  }

  /** Returns the name of the instance. */
  async instance(): Promise<string> {
    const response = await fetch(`http://127.0.0.1:${this.#port}/gateways`)
    const { instance }: { instance: string } = JSON.parse(await response.text())
    return instance
  }

  /** Returns the response of `GET /metrics`. */
  async metrics(): Promise<string> {
    return await (await fetch(`http://127.0.0.1:${this.#port}/metrics`)).text()
  }

  /** Returns the value of a metric, such as `name{label="value"}`; undefined if it is absent. */
  async metric(series: string): Promise<number | undefined> {
    const response = await fetch(`http://127.0.0.1:${this.#port}/metrics`)
    const line = (await response.text()).split('\n').find((text) => text.startsWith(`${series} `))
    return line === undefined ? undefined : Number(line.slice(series.length))
  }

  /** Returns the log messages about a gateway's process in order. */
  history(gatewayId: string): readonly string[] {
    const own = this.lines.filter((line) => line['gateway_id'] === gatewayId && line.msg !== 'gateway')
    return own.map(({ msg }) => msg.replace(/^gateway /, ''))
  }

  /** Resolves when the log has `times` lines about the gateway with this text. */
  async until(gatewayId: string, text: string, times = 1): Promise<void> {
    const wanted = (line: ServiceLine): boolean => line['gateway_id'] === gatewayId && line.msg.includes(text)
    await this.matchingLines(`${text} (${gatewayId})`, wanted, times)
  }
}
