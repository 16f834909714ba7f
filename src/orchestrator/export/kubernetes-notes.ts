import type { ResolvedConfig } from '../config/resolved.ts'
import { formatSocketAddress } from '../config/socket-address.ts'
import { containerCommand, containerEnvironment, logFileNote, logLineNote } from './container.ts'
import type { ExportedProcess } from './graph.ts'
import { type KnownAddress, namesLoopback, rewriteAddresses } from './kubernetes-addresses.ts'
import { type Note, notesAbout } from './notes.ts'
import { secretName } from './kubernetes-secrets.ts'

/** What a person has to know or to do about one process before Kubernetes can run it. */
export function kubernetesNotes(
  exported: ExportedProcess,
  known: readonly KnownAddress[],
  { mqttBroker }: ResolvedConfig,
): readonly Note[] {
  const { process, secrets, readiness } = exported
  const { name, kind, restart } = process
  const create = `kubectl create secret generic ${secretName(exported)} --from-env-file=…`
  const loopback = loopbackPlaces(exported, known)
  const isOutsideBroker = process.usesMqttBroker && mqttBroker.providedBy === null
  return notesAbout(name, [
    secrets.length > 0 && `${secrets.join(', ')}: secret, so not in here; give it with ${create}`,
    readiness?.check.type === 'log_line' && logLineNote,
    process.log.file !== null && logFileNote,
    loopback.length > 0 &&
      `${loopback.join(', ')} speaks of this machine (127.0.0.1, localhost), which is the pod itself in a cluster`,
    kind === 'service' && restart.policy !== 'always' && 'a Deployment restarts it whenever it ends',
    isOutsideBroker && `the MQTT broker at ${formatSocketAddress(mqttBroker)} is none of the processes`,
  ])
}

/** Where an address of this machine is left that nobody is known to answer at. */
function loopbackPlaces(exported: ExportedProcess, known: readonly KnownAddress[]): readonly string[] {
  const isLeft = (text: string) => namesLoopback(rewriteAddresses(text, exported.id, known))
  const variables = Object.entries(containerEnvironment(exported)).flatMap(([name, value]) =>
    isLeft(value) ? [name] : [],
  )
  return containerCommand(exported).some(isLeft) ? ['its command', ...variables] : variables
}
