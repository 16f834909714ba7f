/** Program name → the built file (in dist/) that it runs. */
export const programs = {
  'ponix-orchestrator': 'cli',
  'ponix-api': 'api',
  'ponix-cdc': 'cdc',
  'ponix-gateway-orchestrator': 'gateway-orchestrator',
  'ponix-analytics': 'analytics',
  'ponix-migrate': 'migrate',
  'ponix-codec': 'codec',
  'ponix-embedded': 'embedded',
  'ponix-demo': 'demo',
}
