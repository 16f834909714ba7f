import { npmInstall } from './npm-install.ts'
import { provision } from './provision.ts'
import type { Provisioning } from './provision.ts'

const VERSION = '3.4.0'

/** chdb: ClickHouse's engine as a library. */
export function provideClickHouse(provisioning: Provisioning): Promise<string> {
  return provision(provisioning, {
    folder: `chdb-${VERSION}`,
    install: (draft) => npmInstall(draft, [`chdb@${VERSION}`], provisioning.signal),
  })
}
