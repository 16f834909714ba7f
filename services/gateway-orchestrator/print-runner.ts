import type { GatewayRunner } from '../../src/domain/gateway-orchestration/gateway-process.ts'
import type { Logger } from '../../src/runner/logger.ts'
import { maskSecrets } from '../../src/domain/secrets.ts'

/** Says every so often which gateway it serves: the smallest runner, for trying things out (G-8). */
export function printRunner(logger: Logger, intervalMs: number): GatewayRunner {
  return ({ gateway, signal, succeeded }) => {
    const line = {
      gateway_id: gateway.gatewayId,
      organization_id: gateway.organizationId,
      gateway_type: gateway.gatewayType,
      gateway_config: maskSecrets(gateway.gatewayConfig),
    }
    const print = (): void => logger.info(line, 'gateway')
    return new Promise((resolve) => {
      print()
      succeeded()
      const timer = setInterval(print, intervalMs)
      signal.addEventListener(
        'abort',
        () => {
          clearInterval(timer)
          resolve()
        },
        { once: true },
      )
    })
  }
}
