import type { LoadOptions } from '../../../src/orchestrator/config/load.ts'

/** The options of a command line without options. */
export const plainOptions: Omit<LoadOptions, 'path' | 'environment'> = {
  only: [],
  withDependencies: false,
  disable: [],
  profiles: [],
  exitCodeFrom: null,
  mqttBroker: null,
}
